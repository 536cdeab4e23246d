"""Slots: where keys are plugged in and pulled out, seen by both faces."""

import threading
from collections.abc import Iterator

from ukey_emulator.chip import Chip


class Slot:
    """One slot, with a key in it or without.

    `changes` counts how often a key was plugged in or pulled out, `sessions` how many sessions
    all applications together have open with the key in it.
    """

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.chip: Chip | None = None
        self.changes = 0
        self.sessions = 0
        self._lock = threading.Lock()

    def count(self, change: int) -> None:
        """Count sessions that are opened or closed."""
        with self._lock:
            self.sessions += change


class Slots:
    """All slots of a rack; plugging wakes who waits for it."""

    def __init__(self) -> None:
        self._slots: dict[int, Slot] = {}
        self._changed = threading.Condition()

    def __iter__(self) -> Iterator[Slot]:
        return iter(list(self._slots.values()))

    def get(self, number: int) -> Slot | None:
        """Give the slot of that number, None if there is none."""
        return self._slots.get(number)

    def add(self, name: str) -> Slot:
        """Add an empty slot."""
        with self._changed:
            slot = Slot(max(self._slots, default=-1) + 1, name)
            self._slots = {**self._slots, slot.number: slot}
            self._changed.notify_all()
            return slot

    def remove(self, slot: Slot) -> None:
        """Take a slot away, with whatever is in it."""
        with self._changed:
            slot.chip = None
            self._slots = {n: kept for n, kept in self._slots.items() if kept is not slot}
            self._changed.notify_all()

    def plug(self, slot: Slot, chip: Chip) -> None:
        """Put a key into a slot."""
        self._set(slot, chip)

    def unplug(self, slot: Slot) -> None:
        """Pull the key out of a slot."""
        self._set(slot, None)

    def changes(self) -> dict[int, int]:
        """Give the count of changes of each slot, to tell later what has changed since."""
        return {slot.number: slot.changes for slot in self._slots.values()}

    def wait(self, seconds: float) -> None:
        """Wait until something changes, at most so long."""
        with self._changed:
            self._changed.wait(seconds)

    def wake(self) -> None:
        """Wake all who wait, so that they look again."""
        with self._changed:
            self._changed.notify_all()

    def _set(self, slot: Slot, chip: Chip | None) -> None:
        with self._changed:
            slot.chip = chip
            slot.changes += 1
            self._changed.notify_all()

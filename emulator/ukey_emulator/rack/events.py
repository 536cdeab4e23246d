"""What became of the keys: which was added, plugged in, pulled out, removed, and when."""

import threading
import time
from collections import deque
from typing import Any

from ukey_emulator.slots import Slot, Slots

_KEPT = 1_000


class Events:
    """The last changes of a rack's slots, numbered from 1."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._lock = threading.Lock()
        self._serials: dict[Slot, str | None] = {}  # of the keys that are in, None where none is
        self._entries: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._last = 0
        slots.watch(self._note)

    def since(self, number: int, most: int = _KEPT) -> list[dict[str, Any]]:
        """Give at most so many changes after that number, oldest first, as JSON can hold them."""
        with self._lock:
            return [entry for entry in self._entries if entry["n"] > number][:most]

    def _note(self, slot: Slot) -> None:
        with self._lock:
            chip = slot.chip
            before = self._serials.get(slot)
            if self._slots.get(slot.number) is not slot:
                self._serials.pop(slot, None)
                event, serial = "removed", None
            elif chip is not None:
                event, serial = "plugged", chip.identity.serial
                self._serials[slot] = serial
            else:
                event, serial = ("added" if slot not in self._serials else "unplugged"), before
                self._serials[slot] = None
            self._last += 1
            self._entries.append(
                {
                    "n": self._last,
                    "time": time.time(),
                    "event": event,
                    "key": slot.name,
                    "slot": slot.number,
                    "serial": serial,
                }
            )

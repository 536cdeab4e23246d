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
        # Names and serial numbers of the keys that are in, None where none is.
        self._held: dict[Slot, tuple[str, str | None]] = {}
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
            empty = slot.name, None
            key, serial = self._held.get(slot, empty)
            if self._slots.get(slot.number) is not slot:
                self._held.pop(slot, None)
                event, (key, serial) = "removed", empty
            elif chip is not None:
                event, key, serial = "plugged", slot.key, chip.identity.serial
                self._held[slot] = key, serial
            else:
                event = "unplugged" if slot in self._held else "added"
                self._held[slot] = empty
            self._last += 1
            self._entries.append(
                {
                    "n": self._last,
                    "time": time.time(),
                    "event": event,
                    "key": key,
                    "slot": slot.number,
                    "serial": serial,
                }
            )

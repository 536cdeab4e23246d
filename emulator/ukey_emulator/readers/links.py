"""The keys of a rack in the readers of a pcscd: what is plugged in here is in a reader there."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from ukey_emulator.chip import Chip
from ukey_emulator.slots import Slot, Slots

from .reader import Card
from .vpcd import Link

_log = logging.getLogger(__name__)


class Links:
    """The links of slots to vpcd's ports, as a context manager; each slot keeps its reader.

    `make_card` makes the card of a key. Readers cannot be added to a pcscd that runs: a slot that
    finds none free has none, and the log says so.
    """

    def __init__(
        self, slots: Slots, make_card: Callable[[Chip], Card], ports: Sequence[int]
    ) -> None:
        self._slots = slots
        self._make_card = make_card
        self._free = [Link(port) for port in ports]
        self._taken: dict[int, Link | None] = {}
        self._chips: dict[int, Chip] = {}
        self._lock = threading.Lock()
        slots.watch(self._look)
        for slot in slots:
            self._look(slot)

    def wait(self, seconds: float) -> list[str]:
        """Wait until all keys are at work in their readers, at most so long.

        Gives the names of the slots whose keys are not.
        """
        deadline = time.monotonic() + seconds
        return [
            slot.name
            for slot in self._slots
            if slot.chip is not None and not self._works(slot, deadline)
        ]

    def close(self) -> None:
        """Take all cards out of the readers."""
        self._slots.unwatch(self._look)
        for link in [*self._free, *self._taken.values()]:
            if link is not None:
                link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _works(self, slot: Slot, deadline: float) -> bool:
        link = self._taken.get(slot.number)
        return link is not None and link.wait(max(0.0, deadline - time.monotonic()))

    def _look(self, slot: Slot) -> None:
        """Do in the readers what has been done in a slot since the last look at it."""
        with self._lock:
            if self._slots.get(slot.number) is not slot:
                self._leave(slot)
                return
            if slot.number not in self._taken:
                self._taken[slot.number] = self._free.pop(0) if self._free else None
                if self._taken[slot.number] is None:
                    _log.warning("no reader is free for %s", slot.name)
            link, chip = self._taken[slot.number], slot.chip
            if link is None or self._chips.get(slot.number) is chip:
                return
            if chip is None:
                del self._chips[slot.number]
                link.remove()
            else:
                self._chips[slot.number] = chip
                link.insert(self._make_card(chip))

    def _leave(self, slot: Slot) -> None:
        link = self._taken.pop(slot.number, None)
        self._chips.pop(slot.number, None)
        if link is not None:
            link.remove()
            self._free.insert(0, link)

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

_ENDING = 5.0


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
        self._stopping = False
        self._look()
        self._thread = threading.Thread(target=self._follow, daemon=True, name="ukey-links")
        self._thread.start()

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
        self._stopping = True
        self._slots.wake()
        self._thread.join(_ENDING)
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

    def _follow(self) -> None:
        while not self._stopping:
            turn = self._slots.turn
            self._look()
            self._slots.wait(turn)

    def _look(self) -> None:
        """Do in the readers what has been done in the slots since the last look."""
        slots = {slot.number: slot for slot in self._slots}
        for gone in self._taken.keys() - slots.keys():
            link = self._taken.pop(gone)
            self._chips.pop(gone, None)
            if link is not None:
                link.remove()
                self._free.insert(0, link)
        for number, slot in slots.items():
            if number not in self._taken:
                self._taken[number] = self._free.pop(0) if self._free else None
                if self._taken[number] is None:
                    _log.warning("no reader is free for %s", slot.name)
            link = self._taken[number]
            chip = slot.chip
            if link is None or self._chips.get(number) is chip:
                continue
            if chip is None:
                del self._chips[number]
                link.remove()
            else:
                self._chips[number] = chip
                link.insert(self._make_card(chip))

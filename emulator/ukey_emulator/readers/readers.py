"""The readers of a rack, one for each slot, and what all their clients share."""

import socket
import threading
from collections.abc import Callable
from functools import partial
from itertools import count, islice

from ukey_emulator.chip import Chip
from ukey_emulator.slots import Slot, Slots

from .events import Events
from .messages import FIXED_READERS, NO_READER
from .numbers import Numbers
from .power import Grace
from .reader import Card, Reader
from .terms import SCARD, ReaderRefusal


class Readers:
    """Follows the slots, from `start` to `stop`: what is plugged in there is a card here.

    Each slot has a reader; one that its key has brought along is there only while the key is.

    `make_card` makes the card of a chip, when somebody first looks at it.
    """

    def __init__(self, slots: Slots, make_card: Callable[[Chip], Card]) -> None:
        self._slots = slots
        self._make_card = make_card
        self.events = Events()
        self.numbers = Numbers()
        self._grace = Grace()
        self._lock = threading.Lock()
        self._readers: dict[int, Reader] = {}
        self._by_name: dict[bytes, Reader] = {}
        self._contexts: dict[int, socket.socket] = {}
        self._room = FIXED_READERS

    def start(self) -> None:
        """Make the readers for the slots that there are."""
        self._slots.watch(self._changed)
        for slot in self._slots:
            self._changed(slot, told=False)

    def stop(self) -> None:
        """Take the readers away, and the power of the cards."""
        self._slots.unwatch(self._changed)
        self._grace.stop()
        for reader in self._readers.values():
            reader.take_away()

    def reader(self, name: bytes) -> Reader:
        """Find a reader; SCARD_E_UNKNOWN_READER."""
        reader = self._by_name.get(name)
        if reader is None:
            raise ReaderRefusal(SCARD.E_UNKNOWN_READER)
        return reader

    def name_of(self, slot: int) -> str | None:
        """Give the name of a slot's reader; None while there is none."""
        reader = self._readers.get(slot)
        return None if reader is None else reader.name

    def room(self) -> int:
        """Tell how many readers there is room for: clients of 2.5 take no less than once told."""
        self._room = max(self._room, len(self._readers))
        return self._room

    def states(self, count: int) -> bytes:
        """Give what is told of that many readers; there may be more, or fewer."""
        records = [reader.record() for reader in islice(list(self._readers.values()), count)]
        return b"".join(records) + NO_READER * (count - len(records))

    def add_context(self, client: socket.socket) -> int:
        """Give a new context of a client."""
        context = self.numbers.take()
        with self._lock:
            self._contexts[context] = client
        return context

    def remove_context(self, context: int) -> None:
        """End a context."""
        with self._lock:
            self._contexts.pop(context, None)
        self.numbers.give_back(context)

    def client_of(self, context: int) -> socket.socket | None:
        """Tell whose context it is."""
        return self._contexts.get(context)

    def _changed(self, slot: Slot, *, told: bool = True) -> None:
        """Do at the reader what has been done at its slot."""
        chip = slot.chip
        gone = self._slots.get(slot.number) is not slot
        if gone or (chip is None and slot.reader):
            self._remove(slot.number)
            return
        reader = self._readers.get(slot.number) or self._add(slot)
        if chip is None:
            reader.remove()
        else:
            reader.insert(chip.identity.serial, partial(self._make_card, chip), told=told)

    def _add(self, slot: Slot) -> Reader:
        with self._lock:
            name = self._free_name(slot.reader or f"ukeylab {slot.name}")
            reader = Reader(name, self.events.announce, self._grace.later)
            self._readers = {**self._readers, slot.number: reader}
            self._by_name = {**self._by_name, name.encode(): reader}
        self.events.count_reader()
        self.events.announce()
        return reader

    def _free_name(self, called: str) -> str:
        """Add numbers as pcsc-lite does: the second that is called the same has 01 00."""
        names = (f"{called} {number:02X} 00" for number in count())
        return next(name for name in names if name.encode() not in self._by_name)

    def _remove(self, number: int) -> None:
        with self._lock:
            reader = self._readers.get(number)
            if reader is None:
                return
            self._readers = {n: kept for n, kept in self._readers.items() if n != number}
            self._by_name = {n: kept for n, kept in self._by_name.items() if kept is not reader}
        reader.take_away()
        self.events.count_reader()
        self.events.announce()

"""A reader: a slot of the rack as PC/SC sees it, and the card in it."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Protocol as Shape

from .messages import MAX_READERNAME, READER
from .protocols import chosen
from .terms import SCARD, Disposition, Protocol, ReaderRefusal, Share, State

_log = logging.getLogger(__name__)

EXCLUSIVE = -1
_MOST_HANDLES = 200
_MOST_EVENTS = 0xFFFF
_READY = State.PRESENT | State.POWERED | State.NEGOTIABLE


class Card(Shape):
    """What stands in a reader: answers command APDUs, and forgets what it should without power.

    `is_awaited` is set by who sends a command, and tells whether anybody waits for the answer: a
    card that hangs looks at it now and then.
    """

    is_awaited: Callable[[], bool]

    @property
    def atr(self) -> bytes:
        """The answer to reset."""

    def power_on(self) -> bytes:
        """Begin to work; give the ATR."""

    def power_off(self) -> None:
        """Forget what is volatile."""

    def reset(self) -> bytes:
        """Begin anew; give the ATR."""

    def transmit(self, command: bytes) -> bytes:
        """Carry out a command, whatever bytes come; ConnectionError if a fault drops it."""


class Power(IntEnum):
    """Whether the card has power, and for whom."""

    OFF = 0
    ON = 1  # but used by nobody: goes off soon
    IN_USE = 2


class Reader:
    """One reader, with a card in it or without.

    `announce` is called when clients should look again, `later` takes what is to be done when the
    card has not been used for a while. The card itself is made only when somebody looks at it.

    What happens to the card happens with `wire` held, what is said of it with `lock`; who needs
    both takes `wire` first. So a card that works for long keeps nobody from being told of it, nor
    from pulling it out.
    """

    def __init__(
        self, name: str, announce: Callable[[], None], later: Callable[[Callable[[], None]], None]
    ) -> None:
        self.name = name
        self._encoded = name.encode()[: MAX_READERNAME - 1]
        self.announce = announce
        self._later = later
        self.wire = threading.Lock()
        self.lock = threading.RLock()
        self.unlocked = threading.Condition(self.lock)
        self.gone = False
        self.handles: dict[int, SCARD] = {}
        """the number of each, and what happened to the card behind its back"""
        self.contexts = 0
        self.holder = 0
        self.depth = 0
        self.state = State.ABSENT
        self.protocol = Protocol.UNDEFINED
        self.atr = b""
        self.serial = ""
        self.card: Card | None = None
        self.pulled: list[Card] = []
        self._make: Callable[[], Card] | None = None
        self._power = Power.OFF
        self._uses = 0
        self._events = 0
        self._record: bytes | None = None

    def record(self) -> bytes:
        """Give what the list of readers tells of this one."""
        record = self._record
        if record is None:
            with self.lock:
                self.look_at_card()
                record = self._record = READER.pack(
                    self._encoded,
                    self._events,
                    self.state,
                    self.contexts,
                    self.atr,
                    len(self.atr),
                    self.protocol,
                )
        return record

    def changed(self) -> None:
        """Forget what was told of it."""
        self._record = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Hold all that is needed to work with the card and to change what is said of it."""
        try:
            with self.wire, self.lock:
                yield
        finally:
            if self.pulled:
                self.drop_pulled()

    def insert(self, serial: str, make: Callable[[], Card], *, told: bool = True) -> None:
        """Put a card in; one that was there before is not `told` of as an event."""
        with self.lock:
            self.serial = serial
            self._make = make
            self.state = _READY
            self._events += told
            self._changed_card()
        if told:
            self.announce()

    def remove(self) -> None:
        """Take the card out, even in the middle of its work; nothing if there is none."""
        with self.lock:
            if self.state & State.ABSENT:
                return
            card, self.card, self._make = self.card, None, None
            self.tell_handles(SCARD.W_REMOVED_CARD)
            self.unlock()
            self.state = State.ABSENT
            self.atr = b""
            self._events += 1
            self._changed_card()
            if card is not None:
                self.pulled.append(card)
        self.announce()
        self.drop_pulled()

    def drop_pulled(self) -> None:
        """Take the power of cards that have been pulled out; who works with one does it later."""
        while self.pulled and self.wire.acquire(blocking=False):
            try:
                while self.pulled:
                    self.drop(self.pulled.pop())
            finally:
                self.wire.release()

    def take_away(self) -> None:
        """Take the reader itself away: its handles are good for nothing any more."""
        self.gone = True
        self.remove()
        with self.lock:
            self.handles = {}
            self.unlock()

    def look_at_card(self) -> Card | None:
        """Give the card, made if nobody has looked at it yet; None if there is none."""
        make = self._make
        if make is not None:
            self._make = None
            try:
                self.card = make()
                self.atr = self.card.atr
            except Exception:  # noqa: BLE001 - whatever it is, the card is no good
                _log.exception("the card in %s is mute", self.name)
                self.state = State.PRESENT | State.SWALLOWED
        return self.card

    def power_up(self) -> None:
        """Give the card power if it has none, for as long as it is used."""
        if self._power is Power.OFF:
            self._restart(lambda card: card.power_on())
        self._power = Power.IN_USE

    def restart(self, disposition: Disposition) -> None:
        """Reset the card, or take its power and give it again; handles are not told.

        SCARD_E_NO_SMARTCARD and SCARD_W_UNRESPONSIVE_CARD where that has not come to anything.
        """
        self.protocol = Protocol.UNDEFINED
        self.changed()
        if self.state & State.ABSENT:
            raise ReaderRefusal(SCARD.E_NO_SMARTCARD)
        if disposition is Disposition.RESET and self._power is not Power.OFF:
            self._restart(lambda card: card.reset())
            return
        if self._power is not Power.OFF and (card := self.look_at_card()) is not None:
            self.drop(card)
        self._restart(lambda card: card.power_on())
        if self._power is Power.OFF:
            self.rest()

    def power_down(self) -> None:
        """Take the card's power; whoever connects next gives it again."""
        self.protocol = Protocol.UNDEFINED
        self._power = Power.OFF
        self.changed()
        if self.state & State.ABSENT:
            return
        self.state = State.PRESENT
        if (card := self.look_at_card()) is not None:
            self.drop(card)

    def rest(self) -> None:
        """Take the card's power soon, unless it is used again."""
        self._power = Power.ON
        self._uses += 1
        uses = self._uses
        self._later(lambda: self._fall_asleep(uses))

    def leave(self) -> None:
        """Let the card rest if nobody uses it any more."""
        if not self.contexts and self._power is not Power.OFF:
            self.rest()

    def negotiate(self, share: int, wanted: int) -> None:
        """Agree on a protocol with the card, if there is none yet."""
        self.look_at_card()  # its ATR says what it offers, and nobody may have read that yet
        if wanted & Protocol.RAW:
            self.protocol = Protocol.RAW
        elif share == Share.DIRECT:
            return
        elif self.protocol is Protocol.UNDEFINED:
            self.protocol = chosen(self.atr, wanted)
        elif not wanted & self.protocol:
            raise ReaderRefusal(SCARD.E_PROTO_MISMATCH)
        self.changed()

    def open(self, number: int, share: int) -> None:
        """Add a handle of that number, which holds the card alone if that is its share."""
        if len(self.handles) >= _MOST_HANDLES:
            raise ReaderRefusal(SCARD.F_INTERNAL_ERROR)
        if self.contexts == EXCLUSIVE or (share == Share.EXCLUSIVE and self.contexts):
            raise ReaderRefusal(SCARD.E_SHARING_VIOLATION)
        if share == Share.EXCLUSIVE:
            self.contexts = EXCLUSIVE
            self.holder, self.depth = number, self.depth + 1
        else:
            self.contexts += 1
        self.handles[number] = SCARD.S_SUCCESS
        self.changed()

    def wait_unlocked(self, number: int, seconds: float) -> bool:
        """Wait until no other handle has a transaction, at most so long; false if one has still."""
        return self.unlocked.wait_for(lambda: self.holder in {0, number} or self.gone, seconds)

    def unlock(self) -> None:
        """Free the card of any transaction."""
        self.holder = self.depth = 0
        self.unlocked.notify_all()

    def tell_handles(self, event: SCARD) -> None:
        """Have every handle answer so from now on, until it reconnects."""
        self.handles = dict.fromkeys(self.handles, event)

    def drop(self, card: Card) -> None:
        """Take a card's power; one that has been pulled out may be broken by then."""
        try:
            card.power_off()
        except Exception:  # noqa: BLE001 - whatever it is, the card has gone
            _log.exception("the card of %s did not end as it should", self.name)

    def _restart(self, begin: Callable[[Card], bytes]) -> None:
        card = self.look_at_card()
        self.changed()
        if card is not None:
            try:
                self.atr = begin(card)
            except Exception:  # noqa: BLE001 - whatever it is, the card is no good
                _log.exception("the card in %s is mute", self.name)
            else:
                self.state = _READY
                return
        self.atr = b""
        self.state = State.PRESENT | State.SWALLOWED
        raise ReaderRefusal(SCARD.W_UNRESPONSIVE_CARD)

    def _fall_asleep(self, uses: int) -> None:
        # A card that is at work again would keep the cards of other readers from their sleep.
        if not self._rests(uses):
            return
        with self.at_work():
            if not self._rests(uses):
                return
            self._power = Power.OFF
            self.protocol = Protocol.UNDEFINED
            self.changed()
            if self.card is not None:
                self.drop(self.card)

    def _rests(self, uses: int) -> bool:
        return self._power is Power.ON and self._uses == uses

    def _changed_card(self) -> None:
        if self._events > _MOST_EVENTS:
            self._events = 0
        self.protocol = Protocol.UNDEFINED
        self._power = Power.OFF
        self.changed()

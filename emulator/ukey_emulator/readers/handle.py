"""A handle: one client's connection to a card, and what may be done by it.

What is answered when is what pcscd 1.9.9 answers, down to the order of its checks.
"""

from collections.abc import Callable

from ukey_emulator.faults import Dropped

from . import attributes
from .reader import EXCLUSIVE, Reader
from .terms import SCARD, Disposition, Protocol, ReaderRefusal, Share, State

_PATIENCE = 0.1  # seconds that a client waits for a transaction's end before it asks again
_LOOK = 0.5  # seconds between looks whether a client that waits is there still
_SOME_PROTOCOL = Protocol.T0 | Protocol.T1 | Protocol.RAW | Protocol.ANY_OLD
_RESTARTING = {Disposition.RESET, Disposition.UNPOWER}


class Handle:
    """What SCardConnect gives; all its refusals are ReaderRefusal."""

    __slots__ = ("_is_awaited", "number", "reader")

    def __init__(self, number: int, reader: Reader, is_awaited: Callable[[], bool]) -> None:
        self.number = number
        self.reader = reader
        self._is_awaited = is_awaited

    def reconnect(self, share: int, protocols: int, initialization: int) -> int:
        """Take the card anew, reset or not; give the active protocol."""
        if initialization not in {Disposition.LEAVE, *_RESTARTING} or share not in set(Share):
            raise ReaderRefusal(SCARD.E_INVALID_VALUE)
        _check_protocols(share, protocols)
        reader = self._here()
        with reader.at_work():
            self._check_holder()
            if initialization in _RESTARTING:
                reader.tell_handles(SCARD.W_RESET_CARD)
                reader.restart(Disposition(initialization))
            elif reader.state & State.ABSENT:
                raise ReaderRefusal(SCARD.E_NO_SMARTCARD)
            elif reader.state & State.SWALLOWED:
                raise ReaderRefusal(SCARD.W_UNRESPONSIVE_CARD)
            reader.negotiate(share, protocols)
            if share != Share.DIRECT:
                reader.power_up()
            self._share(share)
            reader.handles[self.number] = SCARD.S_SUCCESS
            reader.changed()
            active = reader.protocol
        reader.announce()
        return active

    def disconnect(self, disposition: int) -> None:
        """Give the handle up; with it the card is left, reset or loses its power."""
        if disposition not in set(Disposition):
            raise ReaderRefusal(SCARD.E_INVALID_VALUE)
        reader = self.reader
        if disposition != Disposition.LEAVE:
            with reader.lock:
                if reader.holder != self.number:
                    _wait_unlocked(reader, self._is_awaited)
        if disposition in _RESTARTING:
            with reader.at_work():
                self._disconnect(Disposition(disposition))
        else:
            with reader.lock:
                self._disconnect(Disposition(disposition))
        reader.announce()

    def begin_transaction(self) -> None:
        """Hold the card alone; begun again, it has to be ended as often."""
        reader = self._here()
        with reader.lock:
            self._check_event()
            if reader.holder not in {0, self.number}:
                reader.wait_unlocked(self.number, _PATIENCE)
                self._check_event()
                self._check_holder()
            reader.holder = self.number
            reader.depth += 1

    def end_transaction(self, disposition: int) -> None:
        """Let others have the card, left as it is or restarted."""
        if disposition not in set(Disposition):
            raise ReaderRefusal(SCARD.E_INVALID_VALUE)
        reader = self._here()
        if disposition not in _RESTARTING:
            with reader.lock:
                self._end_transaction(disposition)
            return
        with reader.at_work():
            self._end_transaction(disposition)

    def status(self) -> None:
        """Say whether the handle is good; the rest is in the list of readers."""
        self._here()
        self._check_holder()
        self._check_event()

    def transmit(self, protocol: int, command: bytes) -> bytes:
        """Send a command to the card; give its answer."""
        reader = self._here()
        self._check_holder()
        with reader.wire:
            if reader.holder:
                self._check_holder()
            if reader.handles.get(self.number):
                self._check_event()
            if protocol != reader.protocol:
                self._check_protocol(protocol)
            card = reader.card
            if card is None:
                raise ReaderRefusal(SCARD.E_NOT_TRANSACTED)
            card.is_awaited = self._is_awaited
            try:
                answer = card.transmit(command)
            except Dropped as dropped:
                raise ReaderRefusal(SCARD.E_NOT_TRANSACTED) from dropped
        if reader.pulled:
            reader.drop_pulled()
        if reader.card is not card:
            raise ReaderRefusal(SCARD.E_NOT_TRANSACTED)
        return answer

    def control(self, code: int, _data: bytes) -> bytes:
        """Have the reader itself do something."""
        self._here()
        self._check_holder()
        return attributes.control(code)

    def get_attribute(self, attribute: int) -> bytes:
        """Read an attribute of the reader."""
        self.status()
        return attributes.read(self.reader, attribute)

    def set_attribute(self, _attribute: int, _value: bytes) -> None:
        """Change an attribute of the reader: none can be changed."""
        self.status()
        raise ReaderRefusal(SCARD.E_NOT_TRANSACTED)

    def release(self) -> None:
        """Give the handle up for a client that has gone: in a transaction, the card is reset."""
        reader = self.reader
        if reader.holder == self.number:
            with reader.at_work():
                changed = reader.handles.get(self.number)
                self._disconnect(Disposition.LEAVE if changed else Disposition.RESET)
        else:
            with reader.lock:
                self._disconnect(Disposition.LEAVE)
        reader.announce()

    def _here(self) -> Reader:
        if self.reader.gone:
            raise ReaderRefusal(SCARD.E_INVALID_VALUE)
        return self.reader

    def _check_holder(self) -> None:
        if self.reader.holder not in {0, self.number}:
            raise ReaderRefusal(SCARD.E_SHARING_VIOLATION)

    def _check_event(self) -> None:
        event = self.reader.handles.get(self.number, SCARD.E_INVALID_VALUE)
        if event:
            raise ReaderRefusal(event)

    def _check_protocol(self, protocol: int) -> None:
        if protocol == Protocol.RAW:
            return
        if self.reader.state & State.ABSENT:
            raise ReaderRefusal(SCARD.E_NO_SMARTCARD)
        if protocol not in {Protocol.ANY_OLD, self.reader.protocol}:
            raise ReaderRefusal(SCARD.E_PROTO_MISMATCH)

    def _share(self, share: int) -> None:
        reader = self.reader
        if share == Share.EXCLUSIVE:
            if reader.contexts == EXCLUSIVE:
                return
            if reader.contexts != 1:
                raise ReaderRefusal(SCARD.E_SHARING_VIOLATION)
            reader.contexts = EXCLUSIVE
            reader.holder = self.number
            reader.depth += 1
        elif reader.contexts == EXCLUSIVE:
            self._unlock()
            reader.contexts = 1

    def _unlock(self) -> SCARD:
        """Count a transaction down; a card that is held alone stays so."""
        reader = self.reader
        least = 1 if reader.contexts == EXCLUSIVE else 0
        if reader.depth <= least:
            return SCARD.E_NOT_TRANSACTED
        reader.depth -= 1
        if not reader.depth:
            reader.unlock()
        return SCARD.S_SUCCESS

    def _disconnect(self, disposition: Disposition) -> None:
        reader = self.reader
        if reader.gone:
            return
        if reader.holder in {0, self.number}:
            reader.unlock()
        elif disposition is not Disposition.LEAVE:
            raise ReaderRefusal(SCARD.E_SHARING_VIOLATION)
        if disposition in _RESTARTING:
            reader.tell_handles(SCARD.W_RESET_CARD)
            self._restart_or_not(disposition)
        reader.handles.pop(self.number, None)
        reader.contexts = 0 if reader.contexts == EXCLUSIVE else max(0, reader.contexts - 1)
        reader.leave()
        reader.changed()

    def _restart_or_not(self, disposition: Disposition) -> None:
        """Restart the card for the next; how that went is seen in the reader's state."""
        if disposition is Disposition.UNPOWER:
            self.reader.power_down()
            return
        try:
            self.reader.restart(disposition)
        except ReaderRefusal:
            return

    def _end_transaction(self, disposition: int) -> None:
        reader = self.reader
        self._check_event()
        if disposition != Disposition.LEAVE or reader.holder:
            self._check_holder()
        rv = SCARD.S_SUCCESS
        if disposition in _RESTARTING:
            try:
                reader.restart(Disposition(disposition))
            except ReaderRefusal as refusal:
                rv = refusal.rv
            reader.tell_handles(SCARD.W_RESET_CARD)
        ended = self._unlock()
        if rv or ended:
            raise ReaderRefusal(rv or ended)


def check_connect(share: int, protocols: int) -> None:
    """Refuse what nobody can be connected by."""
    _check_protocols(share, protocols)
    if share not in set(Share):
        raise ReaderRefusal(SCARD.E_INVALID_VALUE)


def _check_protocols(share: int, protocols: int) -> None:
    if share != Share.DIRECT and not protocols & _SOME_PROTOCOL:
        raise ReaderRefusal(SCARD.E_PROTO_MISMATCH)


def connect(
    reader: Reader, number: int, share: int, protocols: int, is_awaited: Callable[[], bool]
) -> tuple[Handle, int]:
    """Connect to the card in a reader; give the handle, of that number, and the active protocol.

    It waits while another handle has a transaction, and as long as that `is_awaited`.
    """
    with reader.lock:
        if reader.contexts == EXCLUSIVE:
            raise ReaderRefusal(SCARD.E_SHARING_VIOLATION)
        _wait_unlocked(reader, is_awaited)
    if share == Share.DIRECT:
        with reader.lock:
            active = _open(reader, number, share, protocols)
    else:
        with reader.at_work():
            _power_up(reader)
            active = _open(reader, number, share, protocols)
    reader.announce()
    return Handle(number, reader, is_awaited), active


def _wait_unlocked(reader: Reader, is_awaited: Callable[[], bool]) -> None:
    """Wait for the end of any transaction; ConnectionError once nobody awaits that any more.

    A client that waits for itself, because it has the transaction, can only be killed: with it
    goes the transaction.
    """
    while not reader.wait_unlocked(0, _LOOK):
        if not is_awaited():
            raise ConnectionError("a client has gone that waited for a transaction's end")


def _power_up(reader: Reader) -> None:
    if reader.state & State.ABSENT:
        raise ReaderRefusal(SCARD.E_READER_UNAVAILABLE if reader.gone else SCARD.E_NO_SMARTCARD)
    try:
        reader.power_up()
    except ReaderRefusal as refusal:
        raise ReaderRefusal(SCARD.W_UNPOWERED_CARD) from refusal


def _open(reader: Reader, number: int, share: int, protocols: int) -> int:
    if reader.gone:
        raise ReaderRefusal(SCARD.E_READER_UNAVAILABLE)
    reader.negotiate(share, protocols)
    reader.open(number, share)
    return reader.protocol

"""The card: a chip behind APDUs, with its applets and the transport rules of ISO/IEC 7816-4."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from operator import xor

from ukey_emulator.chip import Chip, PinRefusal, Refusal
from ukey_emulator.epoch import Epoch
from ukey_emulator.faults import Dropped
from ukey_emulator.profiles.timing import seconds_of
from ukey_emulator.slots import Slots
from ukey_emulator.terms import CKR

from .apdu import Command
from .applet import Applet
from .faults import CardFaults
from .management import DeviceManagement
from .piv.applet import PivApplet
from .status import SW, CardRefusal, WrongPin

_SELECT, _GET_RESPONSE, _GET_DATA = 0xA4, 0xC0, 0xCB
_BY_NAME = 0x04  # P1 of SELECT
_FIRST, _FIRST_SILENT = 0x00, 0x0C  # P2 of SELECT: answer with a template, or with nothing

LONGEST = 0x5000
"""No command has more data, in bytes, however many blocks bring it."""

_MORE = 0x6100
_SHORT_ALL = 256
_TOLD = frozenset({_SELECT, _GET_DATA})  # what is sent with these is no secret: identifiers

# How the chip says no, and how a card says it.
_WORDS = {
    CKR.DEVICE_REMOVED: SW.NO_PRECISE_DIAGNOSIS,
    CKR.DEVICE_MEMORY: SW.NOT_ENOUGH_MEMORY,
    CKR.DEVICE_ERROR: SW.MEMORY_FAILURE,
    CKR.PIN_LOCKED: SW.AUTHENTICATION_METHOD_BLOCKED,
    # A PIN that is not set is opened by the PUK alone, as a blocked one is.
    CKR.USER_PIN_NOT_INITIALIZED: SW.AUTHENTICATION_METHOD_BLOCKED,
    CKR.USER_NOT_LOGGED_IN: SW.SECURITY_STATUS_NOT_SATISFIED,
    CKR.PIN_LEN_RANGE: SW.INCORRECT_DATA,
    CKR.TOKEN_WRITE_PROTECTED: SW.CONDITIONS_NOT_SATISFIED,
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One command and its answer, as it may be told: identifiers, but no PINs and no data.

    `header` are CLA, INS, P1 and P2, fewer where that is all that came; `fault` names the faults
    that it met.
    """

    header: bytes
    told: bytes
    sent: int
    received: int
    sw: int
    seconds: float
    fault: str = ""


# What follows each command that has been answered: what may be told of it, all of it, its answer.
Watcher = Callable[[Exchange, bytes, bytes], None]

# What takes so many seconds of a key's time; False if it is pulled out meanwhile.
Linger = Callable[[Chip, float], bool]


def _at_once(chip: Chip, seconds: float) -> bool:
    """Take no time: the key is still there."""
    del chip, seconds
    return True


class Card:
    """A chip as a card in a reader: the engine that stands between APDUs and applets.

    One card has one chip, for as long as that is plugged in. All methods may be called by many
    threads; commands are carried out one after another. `is_awaited` is set by who sends one, and
    tells whether anybody still waits for its answer.
    """

    def __init__(
        self,
        chip: Chip,
        epoch: Epoch,
        watcher: Watcher | None = None,
        linger: Linger = _at_once,
        slots: Slots | None = None,
    ) -> None:
        """With `slots`, the faults that are armed there happen to the card."""
        self._chip = chip
        self._linger = linger
        self.is_awaited: Callable[[], bool] = lambda: True
        self._faults = None if slots is None else CardFaults(slots, chip, self._work, self._abandon)
        self._epoch = epoch
        self._watcher = watcher
        self._applets: tuple[Applet, ...] = (PivApplet(chip), DeviceManagement(chip))
        self._atr = chip.identity.atr or _atr()
        self._lock = threading.Lock()
        self._powered = False
        self._forget()

    @property
    def atr(self) -> bytes:
        """The answer to reset: that of the key's profile, or else our own."""
        return self._atr

    def power_on(self) -> bytes:
        """Give the card power, or cut it for a moment; give the answer to reset."""
        with self._lock:
            self._reset()
            self._powered = True
        return self.atr

    def power_off(self) -> None:
        """Cut the power: what was not written is gone, the user's login with it."""
        with self._lock:
            self._reset()
            self._powered = False

    def reset(self) -> bytes:
        """Reset the card that has power; give the answer to reset."""
        return self.power_on()

    def transmit(self, command: bytes) -> bytes:
        """Carry out a command APDU, whatever it is; give data and status word.

        A card without power, or whose chip has been pulled out, answers 6F00. Dropped if a fault
        drops the connection to it.
        """
        if self._faults is not None and self._faults.plan.armed:
            return self._transmit_with_faults(command, self._faults)
        begun = time.perf_counter()
        with self._lock:
            answer, sw = self._answer(command)
        if self._watcher is not None:
            exchange = _exchange(command, answer, sw, time.perf_counter() - begun)
            self._watcher(exchange, command, answer)
        return answer + sw.to_bytes(2)

    def _transmit_with_faults(self, command: bytes, faults: CardFaults) -> bytes:
        begun = time.perf_counter()
        ended = faults.carry_out(command, self.is_awaited)
        if self._watcher is not None:
            seconds = time.perf_counter() - begun
            told = _exchange(command, ended.data, ended.sw, seconds)
            self._watcher(replace(told, fault=ended.faults), command, ended.data)
        if ended.dropped:
            raise Dropped(ended.faults)
        return ended.data + ended.sw.to_bytes(2)

    def _work(self, command: bytes) -> tuple[bytes, int]:
        with self._lock:
            return self._answer(command)

    def _forget(self) -> None:
        """Begin anew: nothing half received, nothing half sent, the first applet selected."""
        self._selected = self._applets[0]
        self._chain: Command | None = None
        self._pending = b""

    def _abandon(self) -> None:
        """Forget what of a command, or of an answer, has not come to its end."""
        with self._lock:
            self._chain, self._pending = None, b""

    def _reset(self) -> None:
        self._selected.deselect()
        self._forget()

    def _answer(self, raw: bytes) -> tuple[bytes, int]:
        chain, self._chain = self._chain, None
        pending, self._pending = self._pending, b""
        if not self._powered:
            return b"", SW.NO_PRECISE_DIAGNOSIS
        try:
            command = _joined(chain, Command.parse(raw))
            if command.chained:
                self._chain = command
                return b"", SW.OK
            if self._chip.paced:
                self._take_time(command.ins)
            data = self._perform(command, pending)
        # A card that breaks says so, and goes on: 6F00 is no answer that our applets give.
        except Exception as error:  # noqa: BLE001 - whatever it is
            return b"", _word(error)
        self._pending = data[command.room :]
        return data[: command.room], _more(len(self._pending)) if self._pending else SW.OK

    def _take_time(self, instruction: int) -> None:
        """Take the time of a slow key; 6F00 if it is pulled out meanwhile."""
        seconds = seconds_of(self._chip.identity.timing, instruction)
        if seconds and not self._linger(self._chip, seconds):
            raise Refusal(CKR.DEVICE_REMOVED)

    def _perform(self, command: Command, pending: bytes) -> bytes:
        if command.ins == _GET_RESPONSE:
            return _rest(command, pending)
        if command.ins == _SELECT:
            return self._select(command)
        if command.ins in self._selected.reading:
            return self._selected.perform(command)
        with self._epoch.change():
            return self._selected.perform(command)

    def _select(self, command: Command) -> bytes:
        """Select an application by name; one that is not there leaves all as it was."""
        if command.p1 != _BY_NAME or command.p2 not in {_FIRST, _FIRST_SILENT}:
            raise CardRefusal(SW.INCORRECT_P1_P2, f"SELECT {command.p1p2:04X}")
        for applet in self._applets:
            if applet.is_named(command.data):
                if applet is not self._selected:
                    self._selected.deselect()
                    self._selected = applet
                answer = applet.select()
                return b"" if command.p2 == _FIRST_SILENT else answer
        raise CardRefusal(SW.NOT_FOUND, f"no application {command.data.hex()}")


def _atr() -> bytes:
    """Give our answer to reset: T=0 and T=1, and the name of PIV (ISO/IEC 7816-3:2006 §8).

    The name stands in the historical bytes as a compact-TLV data object, so that programs need not
    try whose card this is.
    """
    aid = PivApplet.aid[:9]
    historical = bytes([0x80, 0xF0 | len(aid)]) + aid
    body = bytes([0x80 | len(historical), 0x80, 0x01]) + historical
    return b"\x3b" + body + bytes([reduce(xor, body)])


def _joined(chain: Command | None, block: Command) -> Command:
    """Add a block to those that came before, if it goes on with them (ISO/IEC 7816-4 §5.3.3)."""
    if chain is None or (chain.ins, chain.p1p2) != (block.ins, block.p1p2):
        whole = block
    else:
        whole = replace(block, data=chain.data + block.data)
    if len(whole.data) > LONGEST:
        raise CardRefusal(SW.NOT_ENOUGH_MEMORY, f"{len(whole.data)} bytes")
    return whole


def _rest(command: Command, pending: bytes) -> bytes:
    """Answer GET RESPONSE with what has been kept back (ISO/IEC 7816-4 §11.9.1)."""
    if command.p1p2 or command.data:
        raise CardRefusal(SW.INCORRECT_P1_P2)
    if not pending:
        raise CardRefusal(SW.CONDITIONS_NOT_SATISFIED, "nothing is kept back")
    return pending


def _more(count: int) -> int:
    """Say that so many bytes are kept back: 00 stands for all that a short command can get."""
    return _MORE | (count if count < _SHORT_ALL else 0)


def _exchange(raw: bytes, answer: bytes, sw: int, seconds: float) -> Exchange:
    header, told, sent = raw[:4], b"", max(len(raw) - 4, 0)
    with contextlib.suppress(CardRefusal):
        command = Command.parse(raw)
        sent = len(command.data)
        told = command.data if command.ins in _TOLD else b""
    return Exchange(header, told, sent, len(answer), sw, seconds)


def _word(error: Exception) -> int:
    """Give the status word for whatever kept a command from being carried out."""
    match error:
        case CardRefusal():
            return error.sw
        case PinRefusal(code=CKR.PIN_INCORRECT):
            return WrongPin(error.tries_left).sw
        case Refusal():
            return _WORDS.get(error.code, SW.NO_PRECISE_DIAGNOSIS)
        case _:
            _log.error("a command broke the card", exc_info=error)
            return SW.NO_PRECISE_DIAGNOSIS

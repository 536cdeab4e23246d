"""The fuzz target of the card: command APDUs, data objects, and whole talks with a fresh card.

The first byte of an input says what the rest is. Whatever comes, there is an answer: a status word,
after data only where the command succeeded. Nobody gets anywhere by chance; so there is a talk too
with a card that trusts whoever talks to it, to get at all that it reads then.
"""

import contextlib
import logging
import tempfile
from pathlib import Path

from ukey_emulator.card import tlv
from ukey_emulator.card.apdu import Command
from ukey_emulator.card.card import Card, Exchange
from ukey_emulator.card.piv.applet import PivApplet
from ukey_emulator.card.status import CardRefusal
from ukey_emulator.chip import Chip, PinRefusal, Role
from ukey_emulator.chip.factory import Factory
from ukey_emulator.epoch import Epoch

COMMAND, OBJECTS, TALK, TRUSTED_TALK = range(4)

TRIES = 3
_IDENTIFYING = {0xA4, 0xCB}  # SELECT and GET DATA send no secrets
_PIN, _SO_PIN = b"\x00unguessed\x00", b"\x00unguessed too\x00"  # no command can bring so many bytes
_RSA = {0x05, 0x06, 0x07, 0x16}  # algorithms
_FACTORY = Factory.of(_PIN, _SO_PIN, TRIES)


class _Broken(logging.Handler):
    """Takes what the card has to say of its own faults for a finding."""

    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage()) from (record.exc_info or (None, None))[1]


def TestOneInput(data: bytes) -> None:  # noqa: N802 - what a fuzzer calls it
    """Take one input; whatever is raised is a finding."""
    if not data:
        return
    kind, rest = data[0] % 4, data[1:]
    if kind == COMMAND:
        _command(rest)
    elif kind == OBJECTS:
        _objects(rest)
    else:
        _talk(rest, trusted=kind == TRUSTED_TALK)


def _command(raw: bytes) -> None:
    try:
        command = Command.parse(raw)
    except CardRefusal as refusal:
        assert refusal.sw in {0x6700, 0x6881, 0x6882, 0x6E00}
        return
    assert command.data in raw
    assert 0 < command.room <= 65536


def _objects(raw: bytes) -> None:
    try:
        parts = list(tlv.read(raw))
    except CardRefusal as refusal:
        assert refusal.sw == 0x6A80
        return
    # What is read is what is written, but for lengths with more bytes than they need.
    packed = b"".join(tlv.pack(tag, value) for tag, value in parts)
    assert list(tlv.read(packed)) == parts
    assert len(packed) <= len(raw)


def commands(talk: bytes) -> list[bytes]:
    """Cut a talk into commands: each with its length, in one byte, in front."""
    cut = []
    while talk:
        cut.append(talk[1 : 1 + talk[0]])
        talk = talk[1 + talk[0] :]
    return cut


def _talk(raw: bytes, *, trusted: bool) -> None:
    broken = _Broken()
    log = logging.getLogger("ukey_emulator.card")
    log.addHandler(broken)
    with tempfile.TemporaryDirectory() as folder:
        chip = Chip.make(Path(folder) / "key", "1", "key", _FACTORY, lasting=False)
        try:
            (_talk_to_trusting if trusted else _talk_to)(chip, commands(raw))
        finally:
            chip.close()
            log.removeHandler(broken)


def _talk_to(chip: Chip, talk: list[bytes]) -> None:
    exchanges: list[Exchange] = []
    card = Card(chip, Epoch(), lambda exchange, *_: exchanges.append(exchange))
    card.power_on()
    for command in talk:
        before = _tries(chip)
        sw = _transmit(card, command)
        if command[1:2] == b"\xfb" and sw == 0x9000:
            return  # now the PINs are those that everybody knows
        # A try is spent on a PIN that is called wrong, and on nothing else; none is given back.
        spent = [left for left, was in zip(_tries(chip), before, strict=True) if left != was]
        assert spent in ([], [sw & 0xF])
        assert not spent or sw & 0xFFF0 == 0x63C0
        assert sum(_tries(chip)) + len(spent) == sum(before)
    assert all(each.header[1] in _IDENTIFYING for each in exchanges if each.told)
    assert not _piv(card).state.verified
    assert not _piv(card).state.managed


def _talk_to_trusting(chip: Chip, talk: list[bytes]) -> None:
    card = Card(chip, Epoch())
    card.power_on()
    for command in talk:
        if not _piv(card).state.verified and chip.pin(Role.USER) is not None:
            with contextlib.suppress(PinRefusal):
                _piv(card).log_in(_PIN)
        _piv(card).state.managed = True
        if not (command[1:2] == b"\x47" and _RSA & set(command[4:])):  # they take their time
            _transmit(card, command)


def _transmit(card: Card, command: bytes) -> int:
    answer = card.transmit(command)
    sw = int.from_bytes(answer[-2:])
    assert sw == 0x9000 or 0x6100 <= sw <= 0x6F00
    assert len(answer) == 2 or (len(answer) > 2 and (sw == 0x9000 or sw >> 8 == 0x61))
    return sw


def _piv(card: Card) -> PivApplet:
    return next(each for each in card._applets if isinstance(each, PivApplet))


def _tries(chip: Chip) -> list[int]:
    return [record.tries_left for record in map(chip.pin, Role) if record is not None]

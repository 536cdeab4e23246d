"""The fuzz target of the resource manager: all that one client can send, and what it leaves behind.

The first byte of an input says what the rest is: the bytes of a connection as they come, or a talk.
In a talk each message is a byte for its command and six for what stands in its fields, so that a
fuzzer reaches more than the checks at the door. What is no message is a MessageError, and ends the
connection; nothing else may come of it, and whatever was done, all is as it was when it has ended.
"""

import contextlib
import itertools
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from ukey_emulator.readers import handle
from ukey_emulator.readers.client import Client
from ukey_emulator.readers.messages import HEADER, SHAPES, MessageError
from ukey_emulator.readers.readers import Readers
from ukey_emulator.readers.terms import Command
from ukey_emulator.slots import Slots

STREAM, TALK = range(2)
PIECE = 7
COMMANDS = sorted(SHAPES)
_OF_CONTEXTS = {Command.RELEASE_CONTEXT, Command.CANCEL, Command.CONNECT}
_CONTEXTS = (*[1] * 15, 2)  # the first number is that of a context, and then come the cards
_CARDS = (*range(2, 7), *range(2, 7), *range(2, 7), 99)
_READERS = (b"ukeylab a 00 00", b"ukeylab b 00 00", b"", b"none")
_CODES = (0x42000D48, 0x42330012, 0, 0xFFFFFFFF)
_ATTRIBUTES = (0x90303, 0x7FFF0003, 0x10100, 0)
_LENGTHS = (0, 1, 4, 264, 265, 65548, 65549, 0xFFFFFFFF)
_MOST_DATA = 65548


class _Broken(logging.Handler):
    """Takes what the readers have to say of their own faults for a finding."""

    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage()) from (record.exc_info or (None, None))[1]


class _Card:
    """Answers with what it is sent."""

    atr = bytes.fromhex("3B80800101")
    powered = False

    def __init__(self) -> None:
        self.identity = SimpleNamespace(serial="0")

    def beware(self, faults: object) -> None:
        """As a chip is told of faults."""

    def power_on(self) -> bytes:
        self.powered = True
        return self.atr

    def power_off(self) -> None:
        self.powered = False

    def reset(self) -> bytes:
        assert self.powered
        return self.atr

    def transmit(self, command: bytes) -> bytes:
        return command[:300] + b"\x90\0"


class _Connection:
    """Gives the input away in pieces, as a socket would, and takes the answers."""

    def __init__(self, data: bytes) -> None:
        self._left = memoryview(data)
        self._sizes = itertools.cycle((8, 1, 4096, 40, 3))
        self.answered = 0

    def recv_into(self, room: memoryview, *_: int) -> int:
        assert len(room)
        piece = self._left[: min(next(self._sizes), len(room))]
        room[: len(piece)] = piece
        self._left = self._left[len(piece) :]
        return len(piece)

    def recv(self, *_: int) -> bytes:
        return b""

    def sendall(self, answer: bytes) -> None:
        self.answered += len(answer)

    def send(self, message: bytes, _flags: int) -> int:
        self.answered += len(message)
        return len(message)


def TestOneInput(data: bytes) -> None:  # noqa: N802 - what a fuzzer calls it
    """Take one input; whatever is raised is a finding."""
    if not data:
        return
    stream = data[1:] if data[0] % 2 == STREAM else b"".join(messages(data[1:]))
    log = logging.getLogger("ukey_emulator.readers")
    broken = _Broken(logging.ERROR)
    log.addHandler(broken)
    try:
        with patch.object(handle, "_LOOK", 0), patch.object(handle, "_PATIENCE", 0):
            _talk(stream)
    finally:
        log.removeHandler(broken)


def messages(talk: bytes) -> list[bytes]:
    """Put the messages together that a talk tells of in short."""
    return [
        _message(*talk[begin : begin + PIECE]) for begin in range(0, len(talk) - PIECE + 1, PIECE)
    ]


def _length(choice: int) -> int:
    return _LENGTHS[choice % len(_LENGTHS)]


# How a message's fields, and how much data follows, come out of six bytes: a number, five choices.
_FIELDS: dict[int, Callable[..., tuple[Any, ...]]] = {
    Command.VERSION: lambda _, a, *__: (4, a % 8, 0),
    Command.ESTABLISH_CONTEXT: lambda _, a, *__: (a % 5, 0, 0),
    Command.RELEASE_CONTEXT: lambda n, *_: (n, 0),
    Command.CANCEL: lambda n, *_: (n, 0),
    Command.CONNECT: lambda n, a, b, c, *_: (n, _READERS[a % 4], b % 5, c, 0, 0, 0),
    Command.RECONNECT: lambda n, a, b, c, *_: (n, a % 5, b, c % 5, 0, 0),
    Command.DISCONNECT: lambda n, a, *_: (n, a % 5, 0),
    Command.BEGIN_TRANSACTION: lambda n, *_: (n, 0),
    Command.END_TRANSACTION: lambda n, a, *_: (n, a % 5, 0),
    Command.TRANSMIT: lambda n, a, b, c, *_: (n, a % 5, 16, _length(b), 0, 16, c, 0),
    Command.CONTROL: lambda n, a, b, c, *_: (n, _CODES[a % 4], _length(b), c, 0, 0),
    Command.STATUS: lambda n, *_: (n, 0),
    Command.GET_ATTRIB: lambda n, a, b, *_: (n, _ATTRIBUTES[a % 4], b"", _length(b), 0),
    Command.SET_ATTRIB: lambda n, a, b, *_: (n, _ATTRIBUTES[a % 4], b"", _length(b), 0),
}


def _message(which: int, number: int, *choices: int) -> bytes:
    command = COMMANDS[which % len(COMMANDS)]
    structure, data_field = SHAPES[command]
    make = _FIELDS.get(command)
    known = _CONTEXTS if command in _OF_CONTEXTS else _CARDS
    fields = make(known[number % len(known)], *choices) if make else ()
    data = b"" if data_field is None else bytes(min(fields[data_field], _MOST_DATA))
    return HEADER.pack(structure.size, command) + structure.pack(*fields) + data


def _talk(stream: bytes) -> None:
    slots = Slots()
    readers = Readers(slots, lambda chip: chip)  # type: ignore[arg-type, return-value]
    readers._grace = SimpleNamespace(later=lambda _: None, stop=lambda: None)
    numbers = itertools.count(1)
    readers.numbers.take = lambda: next(numbers)  # that a talk can tell
    readers.start()
    cards = [_Card(), _Card()]
    for name, card in zip("ab", cards, strict=True):
        slots.plug(slots.add(name), card)  # type: ignore[arg-type]
    connection = _Connection(stream)
    with contextlib.suppress(MessageError, ConnectionError):
        Client(readers, connection).talk()  # type: ignore[arg-type]
    assert connection.answered <= 3000 * (1 + len(stream) // HEADER.size)
    assert not readers.events._waiting
    assert not readers._contexts
    for each in readers._readers.values():
        assert (each.handles, each.contexts, each.holder, each.depth) == ({}, 0, 0, 0)
        assert len(each.record()) == 184
    readers.stop()
    assert not any(card.powered for card in cards)

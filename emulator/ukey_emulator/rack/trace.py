"""What crossed the faces: the last calls, with PINs and data left out."""

import itertools
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from ukey_emulator.card.card import Exchange
from ukey_emulator.cryptoki.application import Application
from ukey_emulator.cryptoki.wire import (
    FUNCTIONS,
    Attribute,
    Mechanism,
    Out,
    Query,
    WireError,
    decode,
)
from ukey_emulator.terms import CKA, CKM, CKR
from ukey_emulator.terms.operations import COMMANDS

_KEPT = 20_000
_NUMBER = itemgetter(0)  # of an entry
_MOST_RAW = 512  # bytes of a call that are kept as they came until somebody reads the trace
_WORDS = 24  # session, length of the data, room for the output: all but the data
_NAMED = {function.name: function for function in FUNCTIONS.values()}
_ARGUMENTS = {function.name: function.arguments for function in FUNCTIONS.values()}
_WITH_DATA = frozenset({"C_Encrypt", "C_Decrypt", "C_Digest", "C_Sign"})
_CODES = {int(code): f"CKR_{code.name}" for code in CKR}
_MECHANISMS = frozenset(map(int, CKM))
_ATTRIBUTES = frozenset(map(int, CKA))


class Trace:
    """The last calls of all applications and commands of all cards, numbered from 1."""

    def __init__(self) -> None:
        self._entries: deque[tuple[Any, ...]] = deque(maxlen=_KEPT)
        self._numbers = itertools.count(1)

    def note(
        self, app: Application, name: str, arguments: tuple[Any, ...], code: int, seconds: float
    ) -> None:
        """Note a call that has been carried out; only the shape of its data is kept.

        Every call passes here: what can wait until somebody reads the trace, waits.
        """
        shapes = _shapes(name, arguments)
        self._entries.append(
            (next(self._numbers), time.time(), app.pid, app.name, name, shapes, code, seconds)
        )

    def note_told(
        self, app: Application, name: str, payload: bytes | memoryview, seconds: float
    ) -> None:
        """Note a call that was answered with CKR_OK before it came here, as it was sent."""
        shapes: list[Any] | bytes
        if len(payload) > _MOST_RAW:
            shapes = _shaped(name, payload)
        elif name in _WITH_DATA:
            shapes = bytes(payload[:_WORDS]).ljust(len(payload), b"\0")
        else:
            shapes = bytes(payload)
        self._entries.append(
            (next(self._numbers), time.time(), app.pid, app.name, name, shapes, 0, seconds)
        )

    def note_card(self, exchange: Exchange) -> None:
        """Note a command that a card has answered; whose it was, no card knows."""
        self._entries.append((next(self._numbers), time.time(), exchange))

    @property
    def last(self) -> int:
        """The number of the last call, 0 while there is none."""
        try:
            return int(self._entries[-1][0])
        except IndexError:
            return 0

    def since(self, number: int, most: int = _KEPT) -> list[dict[str, Any]]:
        """Give at most so many calls after that number, oldest first, as JSON can hold them.

        They end before a call whose thread has its number but has not noted it yet: who asks again
        for what is after the last one misses none.
        """
        entries = self._entries.copy()
        if not entries or entries[-1][0] <= number:
            return []
        ordered = sorted(entries, key=_NUMBER)
        following = number + 1
        if len(ordered) == _KEPT:  # what was before them is forgotten
            following = max(following, ordered[0][0])
        calls: list[dict[str, Any]] = []
        for entry in ordered[bisect_left(ordered, following, key=_NUMBER) :][:most]:
            if entry[0] != following:
                break
            calls.append(_readable(entry))
            following += 1
        return calls


def _length(data: bytes | None) -> str | None:
    return None if data is None else f"{len(data)} bytes"


def _types(template: list[Attribute] | list[Query] | None) -> list[int] | None:
    return None if template is None else [item.type for item in template]


def _type(mechanism: Mechanism | None) -> tuple[str, int] | None:
    return None if mechanism is None else ("mechanism", mechanism.type)


def _blank(_: object) -> str:
    return "***"


# Kind of argument → what is kept of it; the other kinds carry no data and are kept as they are.
_SHAPE: dict[str, Callable[[Any], Any]] = {
    "PIN": _blank,
    "DATA": _length,
    "OPTIONAL_DATA": _length,
    "LABEL": _length,
    "NAME": _length,
    "TEMPLATE": _types,
    "QUERY": _types,
    "MECHANISM": _type,
    "WRAP_MECHANISM": _type,
    "SEAL_MECHANISM": _type,
    "OPEN_MECHANISM": _type,
    "SEAL_PARAMETER": _blank,
    "OPEN_PARAMETER": _blank,
}
_SHAPES = {
    function.name: [
        (place, _SHAPE[argument.kind])
        for place, argument in enumerate(function.arguments)
        if argument.kind in _SHAPE
    ]
    for function in FUNCTIONS.values()
}


def _shapes(name: str, arguments: tuple[Any, ...]) -> list[Any]:
    shapes = list(arguments)
    for place, shape in _SHAPES[name]:
        shapes[place] = shape(arguments[place])
    return shapes


def _shaped(name: str, payload: bytes | memoryview) -> list[Any]:
    try:
        return _shapes(name, decode(_NAMED[name], payload))
    except WireError:
        return ["unreadable"] * len(_ARGUMENTS[name])


def _readable(entry: tuple[Any, ...]) -> dict[str, Any]:
    if isinstance(entry[2], Exchange):
        return _readable_exchange(*entry)
    number, when, pid, program, name, shapes, code, seconds = entry
    if isinstance(shapes, bytes):
        shapes = _shaped(name, shapes)
    arguments = {
        argument.name: _worded(shape)
        for argument, shape in zip(_ARGUMENTS[name], shapes, strict=True)
    }
    return {
        "n": number,
        "time": when,
        "pid": pid,
        "program": program,
        "function": name,
        "arguments": arguments,
        "rv": _CODES.get(code, hex(code)),
        "us": round(seconds * 1e6),
    }


def _readable_exchange(number: int, when: float, exchange: Exchange) -> dict[str, Any]:
    instruction = exchange.header[1] if len(exchange.header) > 1 else None
    return {
        "n": number,
        "time": when,
        "pid": 0,
        "program": "card",
        "function": COMMANDS.get(instruction or 0, f"APDU {exchange.header.hex().upper()}"),
        "arguments": {
            "header": exchange.header.hex().upper(),
            "told": exchange.told.hex().upper(),
            "sent": f"{exchange.sent} bytes",
            "received": f"{exchange.received} bytes",
        },
        "rv": f"SW_{exchange.sw:04X}",
        "us": round(exchange.seconds * 1e6),
    }


def _worded(shape: object) -> object:
    match shape:
        case ("mechanism", int(kind)):
            return f"CKM_{CKM(kind).name}" if kind in _MECHANISMS else hex(kind)
        case Out(_, None):
            return "length asked"
        case Out(_, capacity):
            return f"room for {capacity}"
        case list():
            return [f"CKA_{CKA(kind).name}" if kind in _ATTRIBUTES else hex(kind) for kind in shape]
        case _:
            return shape

"""What is kept of calls and commands until somebody reads the trace, and how it reads then.

At the level CALLS only the shape of data is kept, and nothing of a PIN or a key; at TRAFFIC all,
but for what is very long.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from operator import itemgetter
from typing import Any, NamedTuple

from ukey_emulator.card.card import Exchange
from ukey_emulator.cryptoki import readable
from ukey_emulator.cryptoki.application import Application
from ukey_emulator.cryptoki.readable import Detail
from ukey_emulator.cryptoki.secrets import SECRETS, is_public
from ukey_emulator.cryptoki.wire import FUNCTIONS, Attribute, Mechanism, WireError, decode
from ukey_emulator.terms.operations import COMMANDS

MOST_RAW = 512
"""Bytes of a call that are kept as they came until somebody reads the trace."""

_LONGEST = 64 * 1024  # bytes of data that are kept at TRAFFIC
_WORDS = 24  # session, length of the data, room for the output: all but the data
_NAMED = {function.name: function for function in FUNCTIONS.values()}
_WITH_DATA = frozenset({"C_Encrypt", "C_Decrypt", "C_Digest", "C_Sign"})
_TYPE, _LENGTH = itemgetter(0), itemgetter(2)  # of an attribute


class Level(StrEnum):
    """How much the trace tells: CALLS blanks PINs, keys and data, TRAFFIC tells all."""

    CALLS = "calls"
    TRAFFIC = "traffic"


class Noted(NamedTuple):
    """A call: its arguments by their shape, whole at TRAFFIC, or its frame's payload.

    `fault` names what happened to it, if anything did.
    """

    number: int
    when: float
    app: Application
    name: str
    told: Sequence[Any] | bytes
    code: int
    seconds: float
    level: Level = Level.CALLS
    results: Sequence[Any] = ()
    fault: str = ""


class Switched(NamedTuple):
    """The level of the trace was switched."""

    number: int
    when: float
    level: Level


class NotedExchange(NamedTuple):
    """A command of a card, to the key of that name; at TRAFFIC it stands here with its answer."""

    number: int
    when: float
    exchange: Exchange
    key: str | None
    traffic: tuple[bytes, bytes] | None


Entry = Noted | Switched | NotedExchange


def _size(data: bytes | None) -> int | None:
    return None if data is None else len(data)


def _template(template: list[Attribute] | None) -> list[Attribute] | None:
    """Leave out what is a key and what is long; most templates have neither."""
    if not template or (
        max(map(_LENGTH, template)) <= readable.LONGEST_TOLD
        and SECRETS.isdisjoint(map(_TYPE, template))
    ):
        return template
    public = is_public(template)
    return [
        attribute
        if attribute.length <= readable.LONGEST_TOLD and (public or attribute.type not in SECRETS)
        else Attribute(attribute.type, None, attribute.length)
        for attribute in template
    ]


def _mechanism(mechanism: Mechanism | None) -> Mechanism | None:
    if mechanism is None or mechanism.parameter is None:
        return mechanism
    return Mechanism(mechanism.type, None)


def _nothing(value: object) -> object:
    return None if value is None else b""


# Kind of argument → what is kept of it; the other kinds are kept as they are.
_SHAPE: dict[str, Callable[[Any], Any]] = {
    "PIN": _nothing,
    "DATA": _size,
    "OPTIONAL_DATA": _size,
    "TEMPLATE": _template,
    "MECHANISM": _mechanism,
    "WRAP_MECHANISM": _mechanism,
    "SEAL_MECHANISM": _mechanism,
    "OPEN_MECHANISM": _mechanism,
    "SEAL_PARAMETER": _nothing,
    "OPEN_PARAMETER": _nothing,
}
_SHAPES = {
    function.name: [
        (place, _SHAPE[argument.kind])
        for place, argument in enumerate(function.arguments)
        if argument.kind in _SHAPE
    ]
    for function in FUNCTIONS.values()
}


def shapes(name: str, arguments: tuple[Any, ...]) -> list[Any]:
    """Give what is kept of a call's arguments at CALLS."""
    kept = list(arguments)
    for place, shape in _SHAPES[name]:
        kept[place] = shape(arguments[place])
    return kept


def whole(values: Sequence[Any]) -> list[Any]:
    """Give what is kept of arguments or results at TRAFFIC."""
    return [
        len(value) if isinstance(value, bytes) and len(value) > _LONGEST else value
        for value in values
    ]


def shapes_of(name: str, payload: bytes) -> Sequence[Any] | bytes:
    """Give what is kept of a call that was told as it was sent."""
    if len(payload) > MOST_RAW:
        return _decoded(name, payload)
    if name in _WITH_DATA:
        return payload[:_WORDS].ljust(len(payload), b"\0")
    return payload


def _decoded(name: str, payload: bytes) -> list[Any]:
    try:
        return shapes(name, decode(_NAMED[name], payload))
    except WireError:
        return []


def read(entry: Entry) -> dict[str, Any]:
    """Give an entry as JSON can hold it."""
    match entry:
        case Noted():
            return _read_call(entry)
        case NotedExchange():
            return _read_exchange(entry)
        case Switched(number, when, level):
            return {
                "n": number,
                "time": when,
                "pid": 0,
                "program": "rack",
                "key": None,
                "function": "trace.level",
                "arguments": {"level": level},
                "rv": "CKR_OK",
                "us": 0,
            }


def _read_call(call: Noted) -> dict[str, Any]:
    function = _NAMED[call.name]
    told = _decoded(call.name, call.told) if isinstance(call.told, bytes) else call.told
    detail = Detail.ALL if call.level is Level.TRAFFIC else Detail.CALLS
    entry = {
        "n": call.number,
        "time": call.when,
        "pid": call.app.pid,
        "program": call.app.name,
        "key": _key(call.app, function.arguments[0].kind if told else "", told),
        "function": call.name,
        "arguments": readable.arguments(function, told, detail=detail)
        if told or not function.arguments
        else {"unreadable": True},
        "rv": readable.code_name(call.code),
        "us": round(call.seconds * 1e6),
    }
    if call.level is Level.TRAFFIC:
        entry["results"] = readable.results(function, told, call.results, detail=detail)
    return _faulty(entry, call.fault)


def _faulty(entry: dict[str, Any], fault: str) -> dict[str, Any]:
    """Tell of the faults that happened to a call, if any did."""
    if fault:
        entry["fault"] = fault
    return entry


def _key(app: Application, kind: str, told: Sequence[Any]) -> str | None:
    """Name the key that a call went to: that of its session, or the one in its slot now."""
    if kind == "SESSION":
        return app.keys.get(told[0])
    slot = app.slots.get(told[0]) if kind == "SLOT" else None
    return (slot.key or None) if slot else None


def _read_exchange(noted: NotedExchange) -> dict[str, Any]:
    exchange = noted.exchange
    instruction = exchange.header[1] if len(exchange.header) > 1 else 0
    entry: dict[str, Any] = {
        "n": noted.number,
        "time": noted.when,
        "pid": 0,
        "program": "card",
        "key": noted.key,
        "function": COMMANDS.get(instruction, f"APDU {exchange.header.hex().upper()}"),
        "arguments": {
            "header": exchange.header.hex().upper(),
            "told": exchange.told.hex().upper(),
            "sent": f"{exchange.sent} bytes",
            "received": f"{exchange.received} bytes",
        },
        "rv": f"SW_{exchange.sw:04X}",
        "us": round(exchange.seconds * 1e6),
    }
    if noted.traffic is not None:
        command, answer = noted.traffic
        entry["arguments"]["command"] = command.hex().upper()
        entry["results"] = {"answer": answer.hex().upper()}
    return _faulty(entry, exchange.fault)

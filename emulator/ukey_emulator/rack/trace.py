"""What crossed the faces: the last calls, with PINs and data left out."""

import itertools
import threading
import time
from collections import deque
from typing import Any

from ukey_emulator.cryptoki.application import Application
from ukey_emulator.cryptoki.wire import FUNCTIONS, Mechanism, Out
from ukey_emulator.terms import CKA, CKM, CKR

_KEPT = 20_000
_ARGUMENTS = {function.name: function.arguments for function in FUNCTIONS.values()}
_CODES = {int(code): f"CKR_{code.name}" for code in CKR}
_MECHANISMS = frozenset(map(int, CKM))
_ATTRIBUTES = frozenset(map(int, CKA))
_BLANK = "***"


class Trace:
    """The last calls of all applications, numbered from 1."""

    def __init__(self) -> None:
        self._entries: deque[tuple[Any, ...]] = deque(maxlen=_KEPT)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def note(
        self, app: Application, name: str, arguments: tuple[Any, ...], code: int, seconds: float
    ) -> None:
        """Note a call that has been carried out; only the shape of its data is kept."""
        shapes = [
            value if type(value) is int else _shape(argument.kind, value)
            for argument, value in zip(_ARGUMENTS[name], arguments, strict=True)
        ]
        with self._lock:
            self._entries.append(
                (next(self._numbers), time.time(), app.pid, app.name, name, shapes, code, seconds)
            )

    def since(self, number: int) -> list[dict[str, Any]]:
        """Give the calls after that number, oldest first, as JSON can hold them."""
        with self._lock:
            entries = [entry for entry in self._entries if entry[0] > number]
        return [_readable(entry) for entry in entries]


def _shape(kind: str, value: object) -> object:
    if kind == "PIN":
        return _BLANK
    match value:
        case Mechanism():
            return ("mechanism", value.type)
        case Out():
            return ("room", value.capacity if value.asked else None)
        case bytes():
            return ("bytes", len(value))
        case list():
            return ("attributes", [item.type for item in value])
        case _:
            return value


def _readable(entry: tuple[Any, ...]) -> dict[str, Any]:
    number, when, pid, program, name, shapes, code, seconds = entry
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


def _worded(shape: object) -> object:
    match shape:
        case ("mechanism", int(kind)):
            return f"CKM_{CKM(kind).name}" if kind in _MECHANISMS else hex(kind)
        case ("room", None):
            return "length asked"
        case ("room", int(capacity)):
            return f"room for {capacity}"
        case ("bytes", int(length)):
            return f"{length} bytes"
        case ("attributes", list(types)):
            return [f"CKA_{CKA(kind).name}" if kind in _ATTRIBUTES else hex(kind) for kind in types]
        case _:
            return shape

"""The module's end of the wire in Python, written from PROTOCOL.md."""

import struct
from typing import Any

from ukey_emulator.cryptoki.wire import (
    LAYOUTS,
    MESSAGES,
    NULL,
    Attribute,
    Function,
    Layout,
    Mechanism,
    Misfit,
    Out,
    Parameter,
    Query,
)


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def request(function: Function, args: tuple[Any, ...]) -> bytes:
    """Give the payload of a call."""
    parts = [_argument(a.kind, value) for a, value in zip(function.arguments, args, strict=True)]
    return b"".join(word for word, _ in parts) + b"".join(tail for _, tail in parts)


def _argument(kind: str, value: Any) -> tuple[bytes, bytes]:  # noqa: PLR0911 - a case for each kind
    match value:
        case None if kind in {"SEAL_PARAMETER", "OPEN_PARAMETER"}:
            return words(0), words(0)
        case None:
            return words(NULL), b""
        case Out(asked=False):
            return words(NULL), b""
        case Out(capacity=capacity):
            return words(NULL - 1 if capacity is None else capacity), b""
        case Mechanism(type=mechanism, parameter=parameter):
            form, size, content = _parameter(parameter)
            return words(form), words(mechanism, size) + content
        case bool() | int():
            return words(value), b""
        case list():
            return words(len(value)), _attributes(value)
        case bytes() if kind not in {"SEAL_PARAMETER", "OPEN_PARAMETER"}:
            return words(len(value)), value
        case _:
            form, size, content = _parameter(value)
            return words(form), words(size) + content


def _attributes(attributes: list[Attribute] | list[Query]) -> bytes:
    heads, tails = [], []
    for attribute in attributes:
        match attribute:
            case Attribute(type=kind, value=None, length=length):
                heads.append(words(kind, length, 0))
            case Attribute(type=kind, value=bytes(value), length=length):
                heads.append(words(kind, length, 1))
                tails.append(value)
            case Attribute(type=kind, value=list(value), length=length):
                heads.append(words(kind, length, 2))
                tails.append(_attributes(value))
            case Query(type=kind, capacity=None):
                heads.append(words(kind, 0, 0))
            case Query(type=kind, capacity=int(capacity), nested=None):
                heads.append(words(kind, capacity, 1))
            case Query(type=kind, capacity=int(capacity), nested=list(nested)):
                heads.append(words(kind, capacity, 2))
                tails.append(_attributes(nested))
    return b"".join(heads + tails)


def _parameter(parameter: bytes | Parameter | Misfit | None) -> tuple[int, int, bytes]:
    match parameter:
        case None:
            return 0, 0, b""
        case bytes():
            return 1, len(parameter), parameter
        case Parameter(layout=name, fields=fields):
            layout = LAYOUTS.get(name) or next(m for m in MESSAGES.values() if m.name == name)
            return 2, layout.size, _fields(layout, fields)
        case Misfit(length=length):
            return 3, length, b""


def _fields(layout: Layout, fields: tuple[Any, ...]) -> bytes:
    heads, tails = [], []
    rest = list(fields)
    for member in layout.members:
        if member.kind == "SKIPPED":
            continue
        field = rest.pop(0)
        if field is None:
            heads.append(words(NULL))
        elif isinstance(field, Parameter):
            heads.append(words(1))
            tails.append(_fields(LAYOUTS[field.layout], field.fields))
        elif isinstance(field, list):
            heads.append(words(len(field)))
            tails.append(_attributes(field))
        elif isinstance(field, bytes):
            heads.append(words(len(field)))
            tails.append(field)
        else:
            heads.append(words(field))
        if member.kind in {"BITS", "TAG", "TAG_BITS"}:
            heads.append(words(rest.pop(0)))
    assert not rest
    return b"".join(heads + tails)


class Answer:
    """Reads an answer's payload."""

    def __init__(self, payload: bytes) -> None:
        self._rest = payload

    def take(self, size: int) -> bytes:
        assert size <= len(self._rest)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def words(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}Q", self.take(8 * count))

    def read(self, function: Function) -> tuple[int, tuple[Any, ...]]:
        """Give the return value and the results; nothing may be left over."""
        (rv,) = self.words(1)
        if not self._rest:
            return rv, ()
        heads = [(argument.kind, *self.words(2)) for argument in function.outputs]
        results = tuple(self._result(*head) for head in heads)
        assert not self._rest
        return rv, results

    def _result(self, kind: str, tag: int, word: int) -> Any:
        if tag == 0:
            return None
        if tag == 1:
            return word
        assert tag == 2
        if kind in {"LIST_OUT", "FOUND_OUT"}:
            return list(self.words(word))
        if kind == "QUERY":
            return self._entries(word)
        if kind in {"SEAL_PARAMETER", "SEAL_MECHANISM"}:
            sizes = self.words(2)
            return tuple(None if size == NULL else self.take(size) for size in sizes)
        return self.take(word)

    def _entries(self, count: int, depth: int = 1) -> list[tuple[Any, ...]]:
        heads = [self.words(3 if depth > 1 else 2) for _ in range(count)]
        return [
            (*before, length, self._value(length, form, depth)) for *before, length, form in heads
        ]

    def _value(self, length: int, form: int, depth: int) -> Any:
        assert form in {0, 1, 2}
        if form == 0:
            return None
        return self.take(length) if form == 1 else self._entries(length // 24, depth + 1)

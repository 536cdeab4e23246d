"""Reads answers as PROTOCOL.md has them: the other direction of wire_write.py.

Nothing here trusts the file that an answer comes from: what does not fit raises WireError.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

from ukey_emulator.cryptoki.wire import NULL, Function, Query, WireError

_UNTOUCHED, _WORD, _CONTENT = range(3)
_NO_VALUE, _VALUE, _NESTED = range(3)
_INFO_SIZE = 88  # of CK_INFO
_ATTRIBUTE_SIZE = 24

GET_INFO = "C_GetInfo"
"""The one function that is answered in the module and whose result a recording has."""


class _Reader:
    """The part of a payload that has not been read yet."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    def words(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}Q", self.bytes(8 * count))

    def bytes(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._payload):
            raise WireError("an answer is cut off")
        part = self._payload[self._at : end]
        self._at = end
        return part

    def end(self) -> None:
        if self._at != len(self._payload):
            raise WireError("bytes are left over at the end of an answer")


def read_answer(
    function: Function, arguments: Sequence[Any], payload: bytes
) -> tuple[int, tuple[Any, ...]]:
    """Give the return value and the results of a call with these arguments, as `encode` takes them.

    The result of C_GetInfo is a CK_INFO. WireError if the payload is no answer to this call.
    """
    reader = _Reader(payload)
    (rv,) = reader.words(1)
    kinds = [output.kind for output in function.outputs]
    asked = [
        value
        for argument, value in zip(function.arguments, arguments, strict=True)
        if argument in function.outputs
    ]
    if function.name == GET_INFO:
        kinds, asked = ["INFO"], [None]
    if len(payload) == struct.calcsize("<Q"):
        return rv, ()
    heads = [reader.words(2) for _ in kinds]
    results = tuple(
        _result(reader, kind, query, tag, word)
        for kind, query, (tag, word) in zip(kinds, asked, heads, strict=True)
    )
    reader.end()
    return rv, results


def _result(reader: _Reader, kind: str, query: Any, tag: int, word: int) -> Any:  # noqa: ANN401
    if tag == _UNTOUCHED:
        return None
    if tag == _WORD:
        return [] if kind == "FOUND_OUT" else word
    if tag != _CONTENT:
        raise WireError("an output has an unknown tag")
    if kind == "QUERY":
        if query is None or word != len(query):
            raise WireError("attributes are answered that were not asked for")
        return _attributes(reader, query)
    return _CONTENTS.get(kind, _Reader.bytes)(reader, word)


def _numbers(reader: _Reader, count: int) -> list[int]:
    return list(reader.words(count))


def _message(reader: _Reader, _size: int) -> tuple[bytes | None, bytes | None]:
    sizes = reader.words(2)
    iv, tag = (None if size == NULL else reader.bytes(size) for size in sizes)
    return iv, tag


def _info(reader: _Reader, size: int) -> bytes:
    if size != _INFO_SIZE:
        raise WireError("a CK_INFO has another size")
    return reader.bytes(size)


# Kind of output → how its tail is read; all others are bytes.
_CONTENTS: dict[str, Callable[[_Reader, int], Any]] = {
    "LIST_OUT": _numbers,
    "FOUND_OUT": _numbers,
    "SEAL_PARAMETER": _message,
    "SEAL_MECHANISM": _message,
    "INFO": _info,
}


def _attributes(reader: _Reader, queries: Sequence[Query]) -> list[tuple[int, Any]]:
    heads = [reader.words(2) for _ in queries]
    return [(length, _value(reader, length, form)) for length, form in heads]


def _value(reader: _Reader, length: int, form: int) -> Any:  # noqa: ANN401
    if form == _NO_VALUE:
        return None
    if form == _VALUE:
        return reader.bytes(length)
    if form != _NESTED or length % _ATTRIBUTE_SIZE:
        raise WireError("the value of an attribute has an unknown form")
    heads = [reader.words(3) for _ in range(length // _ATTRIBUTE_SIZE)]
    return [(kind, inner, _value(reader, inner, inside)) for kind, inner, inside in heads]

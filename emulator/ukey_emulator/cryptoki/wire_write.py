"""Encodes the rack's answers. What each result looks like on the wire stands in PROTOCOL.md."""

import struct
from collections.abc import Callable, Sequence
from typing import Any

from ukey_emulator.cryptoki.wire_shapes import NULL
from ukey_emulator.cryptoki.wire_table import FUNCTIONS, Function

VERSION = 1
"""The version of the protocol, the first byte of every frame."""

HEADER = struct.Struct("<BBI")
"""Version, function number, length of the payload."""

# A writer turns a result that is not None into its tag (1: the word alone, 2: a tail follows),
# its word and its tail.
_Writer = Callable[[Any], tuple[int, int, bytes]]

_BARE = struct.Struct("<BBIQ")
_SINGLE = struct.Struct("<BBIQQQ")
_INFO_SIZES = {"SLOT_INFO": 112, "TOKEN_INFO": 208, "SESSION_INFO": 32, "MECHANISM_INFO": 24}


def _data(result: bytes | int) -> tuple[int, int, bytes]:
    if isinstance(result, int):
        return 1, result, b""
    return 2, len(result), result


def _number(result: int) -> tuple[int, int, bytes]:
    return 1, result, b""


def _list(result: Sequence[int] | int) -> tuple[int, int, bytes]:
    if isinstance(result, int):
        return 1, result, b""
    return 2, len(result), struct.pack(f"<{len(result)}Q", *result)


def _info(size: int) -> _Writer:
    def write(result: bytes) -> tuple[int, int, bytes]:
        if len(result) != size:
            raise ValueError(f"a struct of {size} bytes came as {len(result)}")
        return 2, size, result

    return write


def _entries(result: Sequence[tuple[int, ...]]) -> bytes:
    words: list[int] = []
    values: list[bytes] = []
    value: Any
    for *before, value in result:
        length = before[-1]
        words += before
        if value is None:
            words.append(0)
        elif isinstance(value, list):
            if length != 24 * len(value):
                raise ValueError(f"{len(value)} nested attributes do not take {length} bytes")
            words.append(2)
            values.append(_entries(value))
        else:
            if length != len(value):
                raise ValueError(f"a value of {len(value)} bytes came with the length {length}")
            words.append(1)
            values.append(value)
    return struct.pack(f"<{len(words)}Q", *words) + b"".join(values)


def _query(result: Sequence[tuple[int, Any]]) -> tuple[int, int, bytes]:
    return 2, len(result), _entries(result)


def _message(result: tuple[bytes | None, bytes | None]) -> tuple[int, int, bytes]:
    sizes = [NULL if part is None else len(part) for part in result]
    tail = struct.pack("<QQ", *sizes) + b"".join(part for part in result if part is not None)
    return 2, len(tail), tail


_WRITERS: dict[str, _Writer] = {
    "DATA_OUT": _data,
    "FILL": _data,
    "ULONG_OUT": _number,
    "LIST_OUT": _list,
    "FOUND_OUT": _list,
    "QUERY": _query,
    "SEAL_PARAMETER": _message,
    "SEAL_MECHANISM": _message,
    "WRAP_MECHANISM": _data,
    **{kind: _info(size) for kind, size in _INFO_SIZES.items()},
}

_ANSWERS = {
    function.number: tuple(_WRITERS[argument.kind] for argument in function.outputs)
    for function in FUNCTIONS.values()
}


def encode(function: Function, rv: int, results: Sequence[Any]) -> bytes:
    """Give the whole answer frame.

    `results` is empty, or has one entry for each of `function.outputs`, None for what stays
    untouched. Raises ValueError, TypeError or struct.error for results that cannot be sent,
    which is a mistake of the caller.
    """
    number = function.number
    if not results:
        return _BARE.pack(VERSION, number, 8, rv)
    writers = _ANSWERS[number]
    if len(results) != len(writers):
        raise ValueError(f"{function.name} has {len(writers)} results, not {len(results)}")
    if len(writers) == 1:
        result = results[0]
        tag, word, tail = (0, 0, b"") if result is None else writers[0](result)
        return _SINGLE.pack(VERSION, number, 24 + len(tail), rv, tag, word) + tail
    words = [rv]
    tails = []
    for writer, result in zip(writers, results, strict=True):
        tag, word, tail = (0, 0, b"") if result is None else writer(result)
        words += (tag, word)
        tails.append(tail)
    body = struct.pack(f"<{len(words)}Q", *words) + b"".join(tails)
    return HEADER.pack(VERSION, number, len(body)) + body

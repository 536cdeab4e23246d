"""Decodes the calls that the C module sends. What each word means stands in PROTOCOL.md.

Nothing here trusts the frame: each length is held against what is there, and whatever does not
fit raises WireError. The readers of each function are put together once, at import.
"""

import struct
from collections.abc import Callable
from typing import Any

from ukey_emulator.cryptoki.wire_shapes import (
    NULL,
    Attribute,
    Mechanism,
    Misfit,
    Out,
    Parameter,
    Query,
    WireError,
)
from ukey_emulator.cryptoki.wire_table import (
    FUNCTIONS,
    LAYOUTS,
    MESSAGES,
    PARAMETERS,
    SEALED,
    TEMPLATE_ATTRIBUTES,
    Function,
    Layout,
)

# A reader turns an argument's word, and what the tail holds from a place on, into its value and
# the place behind it. None stands for a plain number: the word itself.
Reader = Callable[[int, memoryview, int], tuple[Any, int]] | None

_NO_BUFFER = NULL - 1
_DEEPEST = 4  # templates inside templates
_ENTRIES = [struct.Struct(f"<{3 * count}Q") for count in range(65)]
_TYPE_AND_SIZE = struct.Struct("<QQ")
_SIZE = struct.Struct("<Q")


def _bool(word: int, _payload: memoryview, at: int) -> tuple[bool, int]:
    if word > 1:
        raise WireError("a truth value is neither 0 nor 1")
    return word == 1, at


def _data(word: int, payload: memoryview, at: int) -> tuple[bytes | None, int]:
    if word == NULL:
        return None, at
    end = at + word
    if end > len(payload):
        raise WireError("bytes are missing at the end")
    return payload[at:end].tobytes(), end


def _fixed(size: int) -> Reader:
    def read(word: int, payload: memoryview, at: int) -> tuple[bytes | None, int]:
        if word not in {size, NULL}:
            raise WireError(f"a field of {size} bytes has another length")
        return _data(word, payload, at)

    return read


def _out(word: int, _payload: memoryview, at: int) -> tuple[Out, int]:
    if word == NULL:
        return Out(asked=False, capacity=None), at
    return Out(True, None if word == _NO_BUFFER else word), at  # noqa: FBT003


def _wanted(word: int, _payload: memoryview, at: int) -> tuple[int | None, int]:
    return None if word == NULL else word, at


def _entries(
    count: int, payload: memoryview, at: int, depth: int
) -> tuple[list[tuple[int, int, int]], int]:
    """Read `count` entries of three words."""
    end = at + 24 * count
    if end > len(payload):
        raise WireError("a template is cut off")
    if depth > _DEEPEST:
        raise WireError("templates stand too deep inside one another")
    entries = _ENTRIES[count] if count < len(_ENTRIES) else struct.Struct(f"<{3 * count}Q")
    words = iter(entries.unpack_from(payload, at))
    return list(zip(words, words, words, strict=True)), end


def _template(
    word: int, payload: memoryview, at: int, depth: int = 1
) -> tuple[list[Attribute] | None, int]:
    if word == NULL:
        return None, at
    entries, at = _entries(word, payload, at, depth)
    attributes: list[Attribute] = []
    for kind, length, form in entries:
        value: bytes | list[Attribute] | None = None
        if form == 1:
            value, at = _data(length, payload, at)
        elif form == 2 and kind in TEMPLATE_ATTRIBUTES and length % 24 == 0:  # noqa: PLR2004
            value, at = _template(length // 24, payload, at, depth + 1)
        elif form != 0:
            raise WireError("an attribute's value has an unknown form")
        attributes.append(Attribute(kind, value, length))
    return attributes, at


def _query(
    word: int, payload: memoryview, at: int, depth: int = 1
) -> tuple[list[Query] | None, int]:
    if word == NULL:
        return None, at
    entries, at = _entries(word, payload, at, depth)
    queries: list[Query] = []
    for kind, capacity, form in entries:
        if form == 0:
            queries.append(Query(kind, None, None))
        elif form == 1:
            queries.append(Query(kind, capacity, None))
        elif form == 2 and kind in TEMPLATE_ATTRIBUTES:  # noqa: PLR2004
            nested, at = _query(capacity // 24, payload, at, depth + 1)
            queries.append(Query(kind, capacity, nested))
        else:
            raise WireError("an attribute's buffer has an unknown form")
    return queries, at


def _oaep(word: int, payload: memoryview, at: int) -> tuple[Parameter | None, int]:
    if word == NULL:
        return None, at
    return _fields(LAYOUTS["OAEP"], payload, at)


def _parameter(
    form: int, size: int, layout: Layout | None, payload: memoryview, at: int
) -> tuple[bytes | Parameter | Misfit | None, int]:
    """Read a parameter of `size` bytes in the form that its word names."""
    if form == 0 and size == 0:
        return None, at
    if form == 1 and layout is None:
        return _data(size, payload, at)
    if form == 2 and layout is not None:  # noqa: PLR2004
        return _fields(layout, payload, at)
    if form == 3:  # noqa: PLR2004
        return Misfit(size), at
    raise WireError("a parameter has a form that does not go with its mechanism and size")


def _mechanism(word: int, payload: memoryview, at: int) -> tuple[Mechanism | None, int]:
    if word == NULL:
        return None, at
    mechanism, size = _TYPE_AND_SIZE.unpack_from(payload, at)
    layout = PARAMETERS.get((mechanism, size))
    parameter, at = _parameter(word, size, layout, payload, at + 16)
    return Mechanism(mechanism, parameter), at


def _sealed(word: int, payload: memoryview, at: int) -> tuple[Mechanism | None, int]:
    """Read a mechanism of authenticated wrapping, whose parameter may be that of a message."""
    if word == NULL:
        return None, at
    mechanism, size = _TYPE_AND_SIZE.unpack_from(payload, at)
    layout = SEALED.get((mechanism, size), PARAMETERS.get((mechanism, size)))
    parameter, at = _parameter(word, size, layout, payload, at + 16)
    return Mechanism(mechanism, parameter), at


def _message(
    word: int, payload: memoryview, at: int
) -> tuple[bytes | Parameter | Misfit | None, int]:
    (size,) = _SIZE.unpack_from(payload, at)
    return _parameter(word, size, MESSAGES.get(size), payload, at + 8)


_MEMBERS: dict[str, tuple[Reader, ...]] = {
    "NUMBER": (None,),
    "BYTE": (None,),
    "BYTES": (_data,),
    "LENGTH_BYTES": (_data,),
    "BITS": (_data, None),
    "BYTES_8": (_fixed(8),),
    "BYTES_16": (_fixed(16),),
    "POINTER_8": (_fixed(8),),
    "ITEMS": (_template,),
    "OAEP_POINTER": (_oaep,),
    "SKIPPED": (),
    "IV": (_data,),
    "TAG": (_data, None),
    "TAG_BITS": (_data, None),
    "TAG_16": (_data,),
    "PASSWORD": (_data,),
}

_ARGUMENTS: dict[str, Reader] = {
    "SLOT": None,
    "SESSION": None,
    "ULONG": None,
    "BOOL": _bool,
    "DATA": _data,
    "OPTIONAL_DATA": _data,
    "PIN": _data,
    "LABEL": _fixed(32),
    "NAME": _data,
    "TEMPLATE": _template,
    "MECHANISM": _mechanism,
    "WRAP_MECHANISM": _mechanism,
    "SEAL_MECHANISM": _sealed,
    "OPEN_MECHANISM": _sealed,
    "RESERVED": _bool,
    "DATA_OUT": _out,
    "FILL": _wanted,
    "ULONG_OUT": _bool,
    "LIST_OUT": _out,
    "FOUND_OUT": _out,
    "SLOT_INFO": _bool,
    "TOKEN_INFO": _bool,
    "SESSION_INFO": _bool,
    "MECHANISM_INFO": _bool,
    "QUERY": _query,
    "SEAL_PARAMETER": _message,
    "OPEN_PARAMETER": _message,
}


def _words(readers: tuple[Reader, ...]) -> tuple[struct.Struct, tuple[Reader, ...]]:
    return struct.Struct(f"<{len(readers)}Q"), readers


_FIELDS = {
    layout.name: _words(tuple(r for member in layout.members for r in _MEMBERS[member.kind]))
    for layout in (*LAYOUTS.values(), *MESSAGES.values())
}

_CALLS = {
    function.number: _words(tuple(_ARGUMENTS[argument.kind] for argument in function.arguments))
    for function in FUNCTIONS.values()
}


def _walk(
    words: struct.Struct, readers: tuple[Reader, ...], payload: memoryview, at: int
) -> tuple[list[Any], int]:
    """Read the words at a place, then the tails behind them."""
    values: list[Any] = []
    tail = at + words.size
    for reader, word in zip(readers, words.unpack_from(payload, at), strict=True):
        if reader is None:
            values.append(word)
        else:
            value, tail = reader(word, payload, tail)
            values.append(value)
    return values, tail


def _fields(layout: Layout, payload: memoryview, at: int) -> tuple[Parameter, int]:
    values, at = _walk(*_FIELDS[layout.name], payload, at)
    return Parameter(layout.name, tuple(values)), at


def decode(function: Function, payload: bytes | memoryview) -> tuple[Any, ...]:
    """Give the arguments of a call: one value for each of `function.arguments`, see wire.py.

    Raises WireError where the payload does not follow PROTOCOL.md.
    """
    view = memoryview(payload)
    try:
        values, end = _walk(*_CALLS[function.number], view, 0)
    except struct.error as fault:
        raise WireError("words are missing at the end") from fault
    if end != len(view):
        raise WireError("bytes are left over at the end")
    return tuple(values)

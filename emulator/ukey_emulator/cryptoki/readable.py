"""Calls as people read them: names instead of numbers, templates with their values.

What a level leaves out is left out here, whatever is handed in: PINs are `***`, data are told by
their length, the values of keys too.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Any

from ukey_emulator.chip.objects.kinds import Kind
from ukey_emulator.chip.objects.rules import HW_FEATURE, PROFILE, TABLES
from ukey_emulator.terms import CKA, CKC, CKH, CKK, CKM, CKO, CKP, CKR, CKU

from .infos import INFOS
from .names import name_of
from .secrets import SECRETS, is_public
from .wire_shapes import Attribute, Mechanism, Misfit, Out, Parameter
from .wire_table import LAYOUTS, MESSAGES, Function, Layout


class Detail(IntEnum):
    """How much is told: no data; data, but neither PINs nor keys; all."""

    CALLS = 0
    DATA = 1
    ALL = 2


LONGEST_TOLD = 64
"""Values of attributes are told up to so many bytes, where not everything is."""

_WORD = 8
_KINDS = {
    what: rule.kind
    for table in (*TABLES.values(), HW_FEATURE, PROFILE)
    for what, rule in table.items()
}
_NUMERIC = frozenset({Kind.NUMBER, Kind.CATEGORY, Kind.DOMAIN, Kind.TRUST})
_UNAVAILABLE = 2**64 - 1  # CK_UNAVAILABLE_INFORMATION
_WORDS: dict[int, type[IntEnum]] = {
    CKA.CLASS: CKO,
    CKA.KEY_TYPE: CKK,
    CKA.CERTIFICATE_TYPE: CKC,
    CKA.HW_FEATURE_TYPE: CKH,
    CKA.PROFILE_ID: CKP,
    CKA.MECHANISM_TYPE: CKM,
    CKA.KEY_GEN_MECHANISM: CKM,
    CKA.ALLOWED_MECHANISMS: CKM,
}
_NUMBERS: dict[tuple[str, str], type[IntEnum]] = {
    ("C_Login", "user_type"): CKU,
    ("C_LoginUser", "user_type"): CKU,
    ("C_GetMechanismInfo", "type"): CKM,
}
# Where results go: told only where the pointer is NULL.
_POINTERS = frozenset({"ULONG_OUT", *INFOS})
# By hand: other flags of the standard have the same numbers.
_SESSION_FLAGS = {4: "CKF_SERIAL_SESSION", 2: "CKF_RW_SESSION"}
_LAYOUTS: dict[str, Layout] = {
    layout.name: layout for layout in (*LAYOUTS.values(), *MESSAGES.values())
}


_CODES = {int(code): f"CKR_{code.name}" for code in CKR}


def code_name(code: int) -> str:
    """Give the name of a return value."""
    return _CODES.get(code) or hex(code)


def arguments(
    function: Function, values: Sequence[Any], *, detail: Detail = Detail.CALLS
) -> dict[str, Any]:
    """Word the arguments of a call, as `decode` gives them, by their names.

    `detail` says how much of them is told.
    """
    return {
        argument.name: _argument(function.name, argument.kind, argument.name, value, detail)
        for argument, value in zip(function.arguments, values, strict=True)
        if argument.kind not in _POINTERS or not value
    }


def _argument(function: str, kind: str, name: str, value: Any, detail: Detail) -> Any:  # noqa: ANN401
    if kind in _POINTERS:
        return None
    if kind == "ULONG":
        return _number(function, name, value)
    word = _WORDED.get(kind)
    return value if word is None or value is None else word(value, detail)


def _number(function: str, name: str, value: int) -> int | str:
    if (function, name) in _NUMBERS:
        return name_of(_NUMBERS[function, name], value)
    if (function, name) == ("C_OpenSession", "flags"):
        told = [name for flag, name in _SESSION_FLAGS.items() if value & flag]
        rest = value & ~sum(_SESSION_FLAGS)
        return "|".join([*told, *([hex(rest)] if rest else [])]) or "0"
    return value


def _pin(value: bytes, detail: Detail) -> str:
    return value.decode("utf-8", "backslashreplace") if detail is Detail.ALL else "***"


def data(value: bytes | int, detail: Detail) -> str:
    """Word bytes: all of them, or how many they are, which may be all that was kept."""
    if isinstance(value, int):
        return f"{value} bytes"
    return value.hex() if detail else f"{len(value)} bytes"


def _text(value: bytes, _detail: Detail) -> str:
    return value.decode("utf-8", "backslashreplace").rstrip(" ")


def template(attributes: Sequence[Attribute], detail: Detail) -> dict[str, Any]:
    """Word a template: each attribute with its value, but for keys and what is long."""
    public = is_public(attributes)
    told: dict[str, Any] = {}
    for attribute in attributes:
        hidden = detail is not Detail.ALL and attribute.type in SECRETS and not public
        value = _length(attribute) if hidden else _value(attribute, detail)
        name = name_of(CKA, attribute.type)
        if name in told:  # no object has one twice, but a program may say so
            name = f"{name} again"
        told[name] = value
    return told


def _length(attribute: Attribute) -> str:
    return "unavailable" if attribute.length == _UNAVAILABLE else f"{attribute.length} bytes"


def _value(attribute: Attribute, detail: Detail) -> Any:  # noqa: ANN401 - text, number, truth value
    value = attribute.value
    if isinstance(value, list):
        return template(value, detail)
    if value is None or (not detail and len(value) > LONGEST_TOLD):
        return _length(attribute)
    return attribute_value(attribute.type, value)


def attribute_value(what: int, value: bytes) -> Any:  # noqa: ANN401 - text, number, truth value
    """Word the value of an attribute by its kind; what does not fit that is told as it is."""
    kind = _KINDS.get(what, Kind.BYTES)
    words = _WORDS.get(what)
    if kind is Kind.NUMBERS and len(value) % _WORD == 0:
        numbers = [
            int.from_bytes(value[at : at + _WORD], "little") for at in range(0, len(value), _WORD)
        ]
        return [name_of(words, number) if words else number for number in numbers]
    if words is not None and len(value) == _WORD:
        return name_of(words, int.from_bytes(value, "little"))
    if kind is Kind.BOOL and value in {b"\0", b"\1"}:
        return value == b"\1"
    if kind in {Kind.TEXT, Kind.DATE} and (text := _printable(value)) is not None:
        return text
    if kind in _NUMERIC and len(value) == _WORD:
        return int.from_bytes(value, "little")
    return f"0x{value.hex()}" if value else ""


def _printable(value: bytes) -> str | None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


def mechanism(value: Mechanism, detail: Detail) -> str:
    """Word a mechanism, and from `Detail.DATA` on its parameter."""
    name = name_of(CKM, value.type)
    if value.parameter is None or not detail:
        return name
    return f"{name} with {parameter(value.parameter, detail)}"


def parameter(value: bytes | Parameter | Misfit, detail: Detail) -> str:
    """Word a mechanism's or a message's parameter."""
    if not detail:
        return "***"
    if isinstance(value, Misfit):
        return f"a parameter of {value.length} bytes"
    if isinstance(value, bytes):
        return value.hex()
    names = [
        name
        for member in _LAYOUTS[value.layout].members
        for name in _FIELDS.get(member.kind, ("{}",))
        for name in [name.format(member.name)]
    ]
    fields = zip(names, value.fields, strict=True)
    return f"{value.layout}({', '.join(f'{name}={_field(field)}' for name, field in fields)})"


# Members that are two fields, or none; all others are one.
_FIELDS = {
    "SKIPPED": (),
    "BITS": ("{}", "{}_bits"),
    "TAG": ("{}", "{}_len"),
    "TAG_BITS": ("{}", "{}_bits"),
}


def _field(value: object) -> str:
    match value:
        case bytes():
            return value.hex()
        case Parameter():
            return parameter(value, Detail.ALL)
        case list():
            return str(template(value, Detail.ALL))
        case _:
            return str(value)


def _types(queries: Sequence[Any], _detail: Detail) -> list[str]:
    return [name_of(CKA, query.type) for query in queries]


def _out(value: Out, _detail: Detail) -> str:
    return "length asked" if value.capacity is None else f"room for {value.capacity}"


# Kind of argument → how it is worded; the other kinds are told as they are.
_WORDED: dict[str, Callable[[Any, Detail], Any]] = {
    "PIN": _pin,
    "DATA": data,
    "OPTIONAL_DATA": data,
    "LABEL": _text,
    "NAME": _text,
    "TEMPLATE": template,
    "QUERY": _types,
    "MECHANISM": mechanism,
    "WRAP_MECHANISM": mechanism,
    "SEAL_MECHANISM": mechanism,
    "OPEN_MECHANISM": mechanism,
    "SEAL_PARAMETER": parameter,
    "OPEN_PARAMETER": parameter,
    "DATA_OUT": _out,
    "LIST_OUT": _out,
    "FOUND_OUT": _out,
}


def results(
    function: Function, asked: Sequence[Any], given: Sequence[Any], *, detail: Detail = Detail.CALLS
) -> dict[str, Any]:
    """Word the results of a call that was asked with these arguments, as `encode` takes them."""
    by_name = dict(zip((each.name for each in function.arguments), asked, strict=True))
    return {
        output.name: _result(function.name, output.kind, by_name[output.name], result, detail)
        for output, result in zip(function.outputs, given, strict=False)
        if result is not None
    }


def _result(function: str, kind: str, asked: Any, result: Any, detail: Detail) -> Any:  # noqa: ANN401
    if kind == "QUERY":
        return _answered(asked, result, detail)
    if function == "C_GetMechanismList" and not isinstance(result, int):
        return [name_of(CKM, number) for number in result]
    if kind in INFOS:
        return INFOS[kind](result)
    if isinstance(result, bytes):
        return data(result, detail)
    if isinstance(result, tuple):
        return [None if part is None else data(part, detail) for part in result]
    return result if isinstance(result, int) else list(result)


def _answered(queries: Sequence[Any], result: Sequence[Any], detail: Detail) -> dict[str, Any]:
    attributes = [
        Attribute(query.type, value if isinstance(value, bytes) else None, length)
        for query, (length, value) in zip(queries, result, strict=True)
    ]
    return template(attributes, detail)


def line(function: str, told: dict[str, Any]) -> str:
    """Write a call as C does: `C_FindObjectsInit(session=1, CKA_CLASS=CKO_PRIVATE_KEY)`."""
    return f"{function}({', '.join(pieces(told))})"


def pieces(told: dict[str, Any]) -> Iterator[str]:
    """Write names with their values; of a template each attribute."""
    for name, value in told.items():
        if isinstance(value, dict):  # a template
            yield from pieces(value) if value else [f"{name}={{}}"]
        else:
            yield f"{name}={_piece(value)}"


def _piece(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return "CK_TRUE" if value else "CK_FALSE"
        case list():
            return f"[{', '.join(map(_piece, value))}]"
        case _:
            return str(value)

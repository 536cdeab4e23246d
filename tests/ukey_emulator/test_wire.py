"""The codec of the module's wire, against a second one written from PROTOCOL.md."""

import ctypes
import re
import struct
from pathlib import Path
from typing import Any

import pytest
import wire_client
from hypothesis import given, settings
from hypothesis import strategies as st

import ukey_emulator
from ukey_emulator.cryptoki.wire import (
    FUNCTIONS,
    HEADER,
    LAYOUTS,
    MESSAGES,
    NULL,
    PARAMETERS,
    SEALED,
    TEMPLATE_ATTRIBUTES,
    VERSION,
    Attribute,
    Function,
    Layout,
    Mechanism,
    Misfit,
    Out,
    Parameter,
    Query,
    WireError,
    decode,
    encode,
)
from ukey_emulator.terms import CKA, CKM

ANSWERED = [function for function in FUNCTIONS.values() if not function.local]
INFO_SIZES = {"SLOT_INFO": 112, "TOKEN_INFO": 208, "SESSION_INFO": 32, "MECHANISM_INFO": 24}

word = st.integers(0, 2**64 - 1)
size = st.integers(0, 2**63)
short = st.binary(max_size=40)
maybe = st.none() | short
nesting = st.sampled_from(sorted(TEMPLATE_ATTRIBUTES))


def plain_attributes() -> st.SearchStrategy[Attribute]:
    valued = st.builds(lambda t, v: Attribute(t, v, len(v)), word, short)
    missing = st.builds(lambda t, n: Attribute(t, None, n), word, size)
    return valued | missing


attributes = st.recursive(
    st.lists(plain_attributes(), max_size=4),
    lambda inner: st.lists(
        plain_attributes() | st.builds(lambda t, v: Attribute(t, v, 24 * len(v)), nesting, inner),
        max_size=3,
    ),
    max_leaves=4,
).filter(lambda value: depth(value) <= 4)

plain_query = st.builds(Query, word, st.none() | size, st.none())
queries = st.lists(
    plain_query
    | st.builds(
        lambda t, inner, more: Query(t, 24 * len(inner) + more, inner),
        nesting,
        st.lists(plain_query, max_size=3),
        st.integers(0, 23),
    ),
    max_size=4,
)


def depth(value: object) -> int:
    if not isinstance(value, list):
        return 0
    return 1 + max((depth(attribute.value) for attribute in value), default=0)


def fields(layout: Layout) -> st.SearchStrategy[Parameter]:
    members: list[st.SearchStrategy[Any]] = []
    for member in layout.members:
        match member.kind:
            case "NUMBER" | "BYTE":
                members.append(word)
            case "BITS" | "TAG" | "TAG_BITS":
                members += [maybe, word]
            case "BYTES_8" | "POINTER_8":
                members.append(st.binary(min_size=8, max_size=8))
            case "BYTES_16":
                members.append(st.binary(min_size=16, max_size=16))
            case "ITEMS":
                members.append(st.none() | st.lists(plain_attributes(), max_size=3))
            case "OAEP_POINTER":
                members.append(st.none() | fields(LAYOUTS["OAEP"]))
            case "SKIPPED":
                pass
            case _:
                members.append(maybe)
    return st.tuples(*members).map(lambda values: Parameter(layout.name, values))


misfits = st.builds(Misfit, st.integers(1, 2**63))
flat = word.filter(lambda number: all(number != known for known, _ in PARAMETERS)).flatmap(
    lambda number: st.builds(Mechanism, st.just(number), st.none() | short | misfits)
)
structured = st.sampled_from(sorted(PARAMETERS, key=str)).flatmap(
    lambda key: st.builds(Mechanism, st.just(key[0]), st.none() | fields(PARAMETERS[key]) | misfits)
)
messages = st.sampled_from(sorted(MESSAGES)).flatmap(lambda length: fields(MESSAGES[length]))
parameters = st.none() | messages | misfits
sealed = st.sampled_from(sorted(SEALED, key=str)).flatmap(
    lambda key: st.builds(Mechanism, st.just(key[0]), st.none() | fields(SEALED[key]) | misfits)
)
outs = st.just(Out(asked=False, capacity=None)) | st.builds(Out, st.just(True), st.none() | size)

ARGUMENTS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(["SLOT", "SESSION", "ULONG"], word),
    **dict.fromkeys(["BOOL", "RESERVED", "ULONG_OUT", *INFO_SIZES], st.booleans()),
    **dict.fromkeys(["DATA", "OPTIONAL_DATA", "PIN", "NAME"], maybe),
    **dict.fromkeys(["DATA_OUT", "LIST_OUT", "FOUND_OUT"], outs),
    **dict.fromkeys(["MECHANISM", "WRAP_MECHANISM"], st.none() | flat | structured),
    **dict.fromkeys(["SEAL_MECHANISM", "OPEN_MECHANISM"], st.none() | flat | sealed),
    **dict.fromkeys(["SEAL_PARAMETER", "OPEN_PARAMETER"], parameters),
    "LABEL": st.none() | st.binary(min_size=32, max_size=32),
    "FILL": st.none() | size,
    "TEMPLATE": st.none() | attributes,
    "QUERY": st.none() | queries,
}

values = st.recursive(
    st.none() | short,
    lambda inner: st.lists(
        st.tuples(word, inner).map(lambda pair: (pair[0], length(pair[1]), pair[1])), max_size=3
    ),
    max_leaves=4,
)

RESULTS: dict[str, st.SearchStrategy[Any]] = {
    "DATA_OUT": short | word,
    "FILL": short,
    "ULONG_OUT": word,
    "LIST_OUT": st.lists(word, max_size=5) | word,
    "FOUND_OUT": st.lists(word, max_size=5),
    "QUERY": st.lists(values.map(lambda value: (length(value), value)), max_size=4),
    "SEAL_PARAMETER": st.tuples(maybe, maybe),
    "SEAL_MECHANISM": st.tuples(maybe, maybe),
    "WRAP_MECHANISM": short,
    **{kind: st.binary(min_size=n, max_size=n) for kind, n in INFO_SIZES.items()},
}


def length(value: list[Any] | bytes | None) -> int:
    if value is None:
        return NULL  # CK_UNAVAILABLE_INFORMATION
    return 24 * len(value) if isinstance(value, list) else len(value)


@st.composite
def calls(draw: st.DrawFn) -> tuple[Function, tuple[Any, ...]]:
    function = draw(st.sampled_from(ANSWERED))
    return function, tuple(draw(ARGUMENTS[a.kind]) for a in function.arguments)


@st.composite
def answers(draw: st.DrawFn) -> tuple[Function, int, tuple[Any, ...]]:
    function = draw(st.sampled_from(ANSWERED))
    results = tuple(draw(st.none() | RESULTS[a.kind]) for a in function.outputs)
    return function, draw(word), draw(st.sampled_from([(), results]))


@given(calls())
@settings(max_examples=500, deadline=None)
def test_a_call_arrives_as_it_was_sent(call: tuple[Function, tuple[Any, ...]]) -> None:
    function, args = call
    assert decode(function, wire_client.request(function, args)) == args


@given(answers())
@settings(max_examples=500, deadline=None)
def test_an_answer_arrives_as_it_was_given(
    answer: tuple[Function, int, tuple[Any, ...]],
) -> None:
    function, rv, results = answer
    frame = encode(function, rv, results)
    assert HEADER.unpack_from(frame) == (VERSION, function.number, len(frame) - HEADER.size)
    read = wire_client.Answer(frame[HEADER.size :]).read(function)
    assert read == (rv, results if function.outputs else ())


def harmless(function: Function, payload: bytes) -> None:
    """Decode: arguments or WireError, and nothing else."""
    try:
        args = decode(function, payload)
    except WireError:
        return
    assert len(args) == len(function.arguments)


@given(st.sampled_from(ANSWERED), st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_random_bytes_are_at_most_a_wire_error(function: Function, payload: bytes) -> None:
    harmless(function, payload)


@given(calls(), st.data())
@settings(max_examples=500, deadline=None)
def test_a_damaged_call_is_at_most_a_wire_error(
    call: tuple[Function, tuple[Any, ...]], data: st.DataObject
) -> None:
    function, args = call
    payload = bytearray(wire_client.request(function, args))
    at = data.draw(st.integers(0, len(payload) - 1))
    if data.draw(st.booleans()):
        payload[at] = data.draw(st.integers(0, 255))
    else:
        at -= at % 8
        payload[at : at + 8] = struct.pack("<Q", data.draw(word))
    harmless(function, bytes(payload))


@given(calls(), st.binary(min_size=1, max_size=9))
@settings(deadline=None)
def test_a_call_with_too_much_or_too_little_is_refused(
    call: tuple[Function, tuple[Any, ...]], surplus: bytes
) -> None:
    function, args = call
    payload = wire_client.request(function, args)
    for wrong in (payload + surplus, payload[:-1]):
        with pytest.raises(WireError):
            decode(function, wrong)


def test_templates_cannot_be_nested_without_end() -> None:
    function = FUNCTIONS[27]
    template: list[Attribute] = []
    for _ in range(4):
        template = [Attribute(0x40000211, template, 24 * len(template))]
    with pytest.raises(WireError, match="too deep"):
        decode(function, wire_client.request(function, (1, template)))


def test_an_array_attribute_of_another_type_is_not_taken_for_a_template() -> None:
    mechanisms = struct.pack("<3Q", 1, 2, 3)  # CKA_ALLOWED_MECHANISMS, as long as one CK_ATTRIBUTE
    template = [Attribute(CKA.ALLOWED_MECHANISMS, mechanisms, 24)]
    function = FUNCTIONS[27]
    assert decode(function, wire_client.request(function, (1, template))) == (1, template)
    forged = wire_client.words(1, 1, CKA.ALLOWED_MECHANISMS, 24, 2, 1, 2, 0)
    with pytest.raises(WireError):
        decode(function, forged)


@pytest.mark.parametrize(
    ("number", "results"),
    [
        (44, (b"", b"")),  # one result too many
        (7, (bytes(207),)),  # a struct of another size
        (25, ([(3, b"four")],)),  # a length that is not that of its value
        (25, ([(23, [(1, b"a")])],)),
        (44, ("text",)),
        (44, (-1,)),
    ],
)
def test_results_that_cannot_be_sent_are_refused(number: int, results: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, TypeError, struct.error)):
        encode(FUNCTIONS[number], 0, results)


def test_the_table_has_every_function_of_the_standard_in_its_place() -> None:
    assert list(FUNCTIONS) == list(range(1, 105))
    by_list = {
        since: [f for f in FUNCTIONS.values() if f.since == since] for since in (240, 300, 320)
    }
    assert {since: len(functions) for since, functions in by_list.items()} == {
        240: 68,
        300: 24,
        320: 12,
    }
    assert [f.since for f in FUNCTIONS.values()] == sorted(f.since for f in FUNCTIONS.values())
    assert FUNCTIONS[1].name == "C_Initialize"
    assert FUNCTIONS[68].name == "C_WaitForSlotEvent"
    assert FUNCTIONS[69].name == "C_GetInterfaceList"
    assert FUNCTIONS[92].name == "C_MessageVerifyFinal"
    assert FUNCTIONS[104].name == "C_UnwrapKeyAuthenticated"


C_TYPES: dict[str, list[Any]] = {
    "NUMBER": [ctypes.c_ulong],
    "BYTE": [ctypes.c_ubyte],
    "BYTES_8": [ctypes.c_ubyte * 8],
    "BYTES_16": [ctypes.c_ubyte * 16],
    **{key: [ctypes.c_void_p] for key in ["POINTER_8", "OAEP_POINTER", "SKIPPED", "TAG_16"]},
}


@pytest.mark.parametrize("layout", [*LAYOUTS.values(), *MESSAGES.values()], ids=lambda x: x.name)
def test_a_layout_is_as_long_as_c_makes_it(layout: Layout) -> None:
    pair = [ctypes.c_void_p, ctypes.c_ulong]
    types = [t for member in layout.members for t in C_TYPES.get(member.kind, pair)]
    names = [(f"member{n}", t) for n, t in enumerate(types)]
    struct_type = type("Struct", (ctypes.Structure,), {"_fields_": names})
    assert ctypes.sizeof(struct_type) == layout.size


def test_the_numbers_of_the_tables_are_those_of_the_standard() -> None:
    text = (Path(ukey_emulator.__file__).parent / "cryptoki" / "parameters.def").read_text()
    numbered = re.findall(
        r"^(?:PARAMETER|TEMPLATE_ATTRIBUTE)\((\w+), (CK[MA])_(\w+)", text, re.MULTILINE
    )
    assert len(numbered) > 60
    for number, kind, name in numbered:
        assert int(number, 16) == {"CKM": CKM, "CKA": CKA}[kind][name]

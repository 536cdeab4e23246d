"""The module's fuzz target, run on its corpus and on calls that the rack answers fittingly."""

import random
from pathlib import Path
from typing import Any

import pytest
import replay
from replay import Exchange

from ukey_emulator.cryptoki.wire import (
    FUNCTIONS,
    HEADER,
    LAYOUTS,
    MESSAGES,
    Mechanism,
    Out,
    Parameter,
    Query,
    decode,
    encode,
)

ANSWERED = [function for function in FUNCTIONS.values() if not function.local]
INFO_SIZES = {"SLOT_INFO": 112, "TOKEN_INFO": 208, "SESSION_INFO": 32, "MECHANISM_INFO": 24}
CORPUS = replay.FOLDER / "exchange.corpus"
HEAD = 4  # bytes of an input, before its arguments and the answer
ROUNDS = 40
OK, HOST_MEMORY, ARGUMENTS_BAD, DEVICE_ERROR = 0x0, 0x2, 0x7, 0x30


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replay.compiled(tmp_path_factory.mktemp("replay"))


def arguments_of(exchange: Exchange) -> tuple[Any, ...]:
    """Decode what the module sent: it never sends what the rack refuses."""
    assert HEADER.unpack_from(exchange.request)[2] == len(exchange.payload)
    return decode(FUNCTIONS[exchange.number], exchange.payload)


def test_the_corpus(program: Path) -> None:
    inputs = [each for each in replay.corpus(CORPUS) if len(each) >= HEAD]
    exchanges = replay.replay(program, inputs)
    assert len(exchanges) == len(inputs) > 0
    sent = [exchange for exchange in exchanges if exchange.request]
    for exchange in sent:
        arguments_of(exchange)
    assert {OK, DEVICE_ERROR} <= {exchange.rv for exchange in sent}


def test_what_one_side_says_the_other_understands(program: Path) -> None:
    """Wild calls of every function, each answered with results that fit what it asked."""
    dice = random.Random(20)  # noqa: S311 - the same calls each time
    calls = [
        (function.number, dice.randbytes(dice.choice([0, 8, 40, 200])))
        for function in ANSWERED
        for _ in range(ROUNDS)
    ]
    asked = replay.replay(program, (replay.input_of(*call, b"") for call in calls))
    inputs, codes = [], []
    for (number, wild), exchange in zip(calls, asked, strict=True):
        if not exchange.request:
            assert exchange.rv in {ARGUMENTS_BAD, HOST_MEMORY}
            continue
        function = FUNCTIONS[number]
        assert exchange.number == number
        given = zip(function.arguments, arguments_of(exchange), strict=True)
        results = [fitting(a.kind, value, dice) for a, value in given if a in function.outputs]
        codes.append(dice.choice([OK, dice.getrandbits(64)]))
        answer = encode(function, codes[-1], results)[HEADER.size :]
        # cut in pieces at random, sometimes; the first one holds the longest possible answer
        inputs.append(replay.input_of(number, wild, answer, replay.FRAMED | dice.choice([0, 5])))
    answered = replay.replay(program, inputs)
    for exchange, code in zip(answered, codes, strict=True):
        assert exchange.rv == code, arguments_of(exchange)
    assert {exchange.number for exchange in answered} == {f.number for f in ANSWERED}
    for broken in ([each[:-1] for each in inputs], [each + b"\0" for each in inputs]):
        assert {exchange.rv for exchange in replay.replay(program, broken)} == {DEVICE_ERROR}


def fitting(kind: str, asked: Any, dice: random.Random) -> Any:  # noqa: PLR0911 - a case for each
    """Give a result that fits the argument that asks for it; None where nothing does."""
    if dice.random() < 0.1:
        return None
    match asked:
        case Out(asked=False) | None | False:
            return None
        case Out(capacity=None):
            return None if kind == "FOUND_OUT" else dice.getrandbits(64)
        case Out(capacity=int(capacity)):
            count = dice.choice([0, min(capacity, 3), min(capacity, 64)])
            if kind == "DATA_OUT":
                return dice.randbytes(count)
            return [dice.getrandbits(64) for _ in range(count)]
        case True:
            return dice.randbytes(INFO_SIZES[kind]) if kind in INFO_SIZES else dice.getrandbits(64)
        case int():
            return dice.randbytes(min(asked, dice.choice([0, 1, 64])))
        case list():
            return [answer_to(query, dice) for query in asked]
        case Mechanism(parameter=parameter):
            return written(kind, parameter, dice)
        case _:
            return written(kind, asked, dice)


def answer_to(query: Query, dice: random.Random) -> tuple[int, Any]:
    """Give what goes into an attribute: a value, values inside it, or a length alone."""
    if query.nested is not None and dice.random() < 0.8:
        inside = [(dice.getrandbits(64), *answer_to(inner, dice)) for inner in query.nested]
        return 24 * len(inside), inside
    if query.capacity is None or dice.random() < 0.2:
        return dice.getrandbits(64), None
    value = dice.randbytes(min(query.capacity, dice.choice([0, 1, 64])))
    return len(value), value


def written(kind: str, parameter: object, dice: random.Random) -> Any:
    """Give the IV, and the tag of a message, as far as the parameter has room for them."""
    iv, tag = room(parameter, {"IV"}), room(parameter, {"TAG", "TAG_BITS", "TAG_16"})
    parts = [None if size is None else dice.randbytes(dice.choice([0, size])) for size in (iv, tag)]
    return parts[0] if kind == "WRAP_MECHANISM" else tuple(parts)


def room(parameter: object, members: set[str]) -> int | None:
    if not isinstance(parameter, Parameter):
        return None
    messages = {layout.name: layout for layout in MESSAGES.values()}
    layout = LAYOUTS.get(parameter.layout) or messages[parameter.layout]
    fields = list(parameter.fields)
    for member in layout.members:
        if member.kind == "SKIPPED":
            continue
        field = fields.pop(0)
        stated = fields.pop(0) if member.kind in {"BITS", "TAG", "TAG_BITS"} else None
        if member.kind in members and isinstance(field, bytes):
            if member.kind == "IV":
                return len(field)
            size = {"TAG": stated, "TAG_BITS": -(-(stated or 0) // 8), "TAG_16": 16}[member.kind]
            return min(size, 16)
    return None

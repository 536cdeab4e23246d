"""Command APDUs, read from bytes (ISO/IEC 7816-4:2020 §5.2 to §5.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukey_emulator.card.apdu import Command
from ukey_emulator.card.status import CardRefusal

HEADER = bytes.fromhex("00CB3FFF")
short_data = st.binary(min_size=1, max_size=255)
long_data = st.binary(min_size=1, max_size=5000)
short_le = st.integers(1, 256)
long_le = st.integers(1, 65536)


def refusal(raw: bytes) -> int:
    with pytest.raises(CardRefusal) as caught:
        Command.parse(raw)
    return caught.value.sw


def header(raw: Command) -> tuple[int, int, int, int]:
    return raw.cla, raw.ins, raw.p1, raw.p2


def test_a_header_alone_has_no_data_and_expects_what_there_is() -> None:
    command = Command.parse(HEADER)
    assert (header(command), command.p1p2) == ((0, 0xCB, 0x3F, 0xFF), 0x3FFF)
    assert (command.data, command.le, command.room) == (b"", None, 256)


@given(le=short_le)
def test_short_le(le: int) -> None:
    command = Command.parse(HEADER + bytes([le % 256]))
    assert (command.data, command.le, command.room) == (b"", le, le)


@given(data=short_data)
def test_short_data(data: bytes) -> None:
    command = Command.parse(HEADER + bytes([len(data)]) + data)
    assert (command.data, command.le, command.room) == (data, None, 256)


@given(data=short_data, le=short_le)
def test_short_data_and_le(data: bytes, le: int) -> None:
    command = Command.parse(HEADER + bytes([len(data)]) + data + bytes([le % 256]))
    assert (command.data, command.le) == (data, le)


@given(le=long_le)
def test_extended_le(le: int) -> None:
    command = Command.parse(HEADER + b"\0" + (le % 65536).to_bytes(2))
    assert (command.data, command.le) == (b"", le)


@given(data=long_data)
def test_extended_data(data: bytes) -> None:
    command = Command.parse(HEADER + b"\0" + len(data).to_bytes(2) + data)
    assert (command.data, command.le, command.room) == (data, None, 65536)


@given(data=long_data, le=long_le)
def test_extended_data_and_le(data: bytes, le: int) -> None:
    raw = HEADER + b"\0" + len(data).to_bytes(2) + data + (le % 65536).to_bytes(2)
    command = Command.parse(raw)
    assert (command.data, command.le) == (data, le)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "00",
        "00CB3F",
        "00CB3FFF05 5C035FC1",  # Lc says more than there is
        "00CB3FFF05 5C035FC102 00 00",  # something after Le
        "00CB3FFF01 5C 00 00 00",
        "00CB3FFF00 00",  # half an extended length
        "00CB3FFF00 0005 5C035FC1",
        "00CB3FFF00 0005 5C035FC102 00",  # half an extended Le
        "00CB3FFF00 0005 5C035FC102 00 00 00",
        "00CB3FFF00 0000 00",  # no data after an extended Lc
        "00CB3FFF00 0000 0000",
    ],
)
def test_lengths_that_do_not_fit_are_6700(raw: str) -> None:
    assert refusal(bytes.fromhex(raw)) == 0x6700


def test_every_class_is_taken_or_refused_for_its_reason() -> None:
    for cla in range(256):
        raw = bytes([cla]) + HEADER[1:]
        if cla in {0x00, 0x10}:
            command = Command.parse(raw)
            assert (command.cla, command.chained) == (0, cla == 0x10)
        elif cla < 0x20:
            assert refusal(raw) == (0x6882 if cla & 0x0C else 0x6881)
        elif 0x40 <= cla < 0x80:
            assert refusal(raw) == (0x6882 if cla & 0x20 else 0x6881)
        else:
            assert refusal(raw) == 0x6E00


@given(st.binary(max_size=300))
def test_whatever_comes_is_a_command_that_says_the_same_or_is_refused(raw: bytes) -> None:
    try:
        command = Command.parse(raw)
    except CardRefusal as refused:
        assert refused.sw in {0x6700, 0x6881, 0x6882, 0x6E00}
    else:
        assert raw[:4] == bytes([command.chained << 4, command.ins, command.p1, command.p2])
        assert command.data in raw
        assert len(command.data) + 4 <= len(raw)
        assert command.le is None or 1 <= command.le <= 65536

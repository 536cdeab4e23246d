"""BER-TLV data objects (ISO/IEC 7816-4:2020 §6.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukey_emulator.card import tlv
from ukey_emulator.card.status import CardRefusal

TAGS = [0x01, 0x53, 0x5C, 0x7C, 0x7E, 0x5F2F, 0x7F49, 0x7F61, 0x5FC105, 0x5FFF15]
objects = st.lists(st.tuples(st.sampled_from(TAGS), st.binary(max_size=70000)), max_size=4)


def packed(parts: list[tuple[int, bytes]]) -> bytes:
    return b"".join(tlv.pack(tag, value) for tag, value in parts)


def refused(data: bytes) -> bool:
    with pytest.raises(CardRefusal) as caught:
        list(tlv.read(data))
    return caught.value.sw == 0x6A80


@given(objects)
def test_what_is_packed_is_read(parts: list[tuple[int, bytes]]) -> None:
    assert list(tlv.read(packed(parts))) == parts


@pytest.mark.parametrize(
    ("size", "length"),
    [(0, "00"), (127, "7F"), (128, "8180"), (255, "81FF"), (256, "820100"), (65536, "83010000")],
)
def test_a_length_has_as_few_bytes_as_can_be(size: int, length: str) -> None:
    assert tlv.pack(0x53, bytes(size))[: -size or None] == bytes.fromhex("53" + length)


def test_a_length_may_have_more_bytes_than_it_needs() -> None:
    assert list(tlv.read(bytes.fromhex("53820001AA 8083000001BB"))) == [
        (0x53, b"\xaa"),
        (0x80, b"\xbb"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        "53",  # no length
        "5F",  # half a tag
        "5FC1",
        "5FC1C105 00",  # a tag of four bytes
        "5302AA",  # cut short
        "5380AA0000",  # no definite length
        "538200",  # half a length
        "5384000000 01AA",  # a length of four bytes
        "53FF00",
        "5300 8001",  # the second one is cut short
    ],
)
def test_what_is_no_data_object_is_6a80(data: str) -> None:
    assert refused(bytes.fromhex(data))


@given(objects.filter(bool), st.data())
def test_what_is_cut_short_is_no_data_object_any_more(
    parts: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    last = len(tlv.pack(*parts[-1]))
    assert refused(packed(parts)[: -data.draw(st.integers(1, last - 1))])


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_whole_or_refused(data: bytes) -> None:
    try:
        parts = list(tlv.read(data))
    except CardRefusal as refusal:
        assert refusal.sw == 0x6A80
    else:
        assert sum(len(value) for _, value in parts) <= len(data)
        assert all(value in data for _, value in parts)


def test_a_template_has_each_member_once() -> None:
    assert tlv.members(bytes.fromhex("8100 8201AA")) == {0x81: b"", 0x82: b"\xaa"}
    with pytest.raises(CardRefusal):
        tlv.members(bytes.fromhex("8100 8100"))


@pytest.mark.parametrize("data", ["", "8100", "7C00 8100", "7C00 7C00"])
def test_one_alone_is_that_and_nothing_else(data: str) -> None:
    assert tlv.only(0x7C, bytes.fromhex("7C028100")) == bytes.fromhex("8100")
    with pytest.raises(CardRefusal):
        tlv.only(0x7C, bytes.fromhex(data))

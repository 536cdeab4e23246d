"""Data objects of a card (NIST SP 800-73-5 Part 2 §3.1.2, §3.3.1), and Yubico's own commands."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from piv_program import AID, PIN, PUK, PivProgram, members, tlv, within
from program import Program

from ukey_emulator.card.piv.data import LARGEST
from ukey_emulator.terms import CKO, CKU

DISCOVERY, BIOMETRIC_GROUP = 0x7E, 0x7F61
HOLDER, CAPABILITIES, PRINTED = 0x5FC102, 0x5FC107, 0x5FC109
PRIVATE = [0x5FC103, 0x5FC108, PRINTED, 0x5FC121, 0x5FC123]
FREE = [0x5FC106, 0x5FC122, 0x5FFF00, 0x5FFF15, 0x5F0000, 0x5FFFFF]
GET, PUT = 0xCB, 0xDB


def name(tag: int) -> bytes:
    return tlv(0x5C, tag.to_bytes((tag.bit_length() + 7) // 8))


def get(piv: PivProgram, tag: int) -> tuple[bytes, int]:
    return piv.send(GET, 0x3F, 0xFF, name(tag))


def put(piv: PivProgram, tag: int, content: bytes) -> int:
    return piv.sw(PUT, 0x3F, 0xFF, name(tag) + tlv(0x53, content))


def test_the_discovery_object_names_the_application_and_its_pin(piv: PivProgram) -> None:
    answer, sw = get(piv, DISCOVERY)
    assert sw == 0x9000
    assert members(within(0x7E, answer)) == {0x4F: AID, 0x5F2F: b"\x40\x00"}


@pytest.mark.parametrize(
    ("tag", "mandatory"),
    [
        (HOLDER, [0x30, 0x34, 0x35, 0x3E, 0xFE]),
        (
            CAPABILITIES,
            [0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE],
        ),
    ],
)
def test_a_fresh_card_has_what_each_has(piv: PivProgram, tag: int, mandatory: list[int]) -> None:
    answer, sw = get(piv, tag)
    assert sw == 0x9000
    assert [each for each in members(within(0x53, answer)) if each in mandatory] == mandatory
    assert list(members(within(0x53, answer)))[-1] == 0xFE


@pytest.mark.parametrize("tag", [*FREE, BIOMETRIC_GROUP, 0x5FC105, 0x5FC120, 0x01])
def test_what_is_not_there_is_not_found(piv: PivProgram, tag: int) -> None:
    assert get(piv, tag) == (b"", 0x6A82)


@pytest.mark.parametrize("tag", PRIVATE)
def test_some_want_the_pin_whether_they_are_there_or_not(piv: PivProgram, tag: int) -> None:
    assert get(piv, tag) == (b"", 0x6982)
    piv.verify()
    assert get(piv, tag) == (b"", 0x6A82)
    piv.card.reset()
    piv.manage()
    assert put(piv, tag, b"for its owner") == 0x9000
    assert get(piv, tag) == (b"", 0x6982)
    piv.verify()
    assert get(piv, tag) == (tlv(0x53, b"for its owner"), 0x9000)
    piv.ok(0x20, 0xFF, 0x80)
    assert get(piv, tag) == (b"", 0x6982)


@pytest.mark.parametrize(
    "data", [b"", b"\x5c", b"\x5c\x00", b"\x5c\x02\x5f\xc1\x02", b"\x5c\x04\x5f\xc1\x02\x00"]
)
def test_a_malformed_tag_list_is_6a80(piv: PivProgram, data: bytes) -> None:
    assert piv.sw(GET, 0x3F, 0xFF, data) == 0x6A80


@pytest.mark.parametrize("data", [name(HOLDER) * 2, name(HOLDER) + b"\x53\x00", tlv(0x5D, b"\x7e")])
def test_one_tag_list_and_nothing_else(piv: PivProgram, data: bytes) -> None:
    assert piv.sw(GET, 0x3F, 0xFF, data) == 0x6A80


def test_other_parameters_are_6a86(piv: PivProgram) -> None:
    piv.manage()
    for ins in (GET, PUT):
        for p1, p2 in ((0x00, 0x00), (0x3F, 0xFE), (0x2F, 0xFF)):
            assert piv.sw(ins, p1, p2, name(0x5FFF15) + tlv(0x53, b"x")) == 0x6A86
    assert get(piv, 0x5FFF15) == (b"", 0x6A82)


def test_nothing_is_put_without_the_management_key(piv: PivProgram) -> None:
    piv.verify()
    for tag in (HOLDER, PRINTED, 0x5FFF15, 0x5FC105):
        assert put(piv, tag, b"x") == 0x6982
    assert piv.sw(PUT, 0x3F, 0xFF, tlv(0x7E, b"x")) == 0x6982
    assert get(piv, 0x5FFF15) == (b"", 0x6A82)


@given(
    tag=st.sampled_from([HOLDER, CAPABILITIES, *PRIVATE, *FREE]),
    first=st.binary(min_size=1, max_size=600),
    second=st.binary(min_size=1, max_size=600),
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
def test_what_is_put_is_got_until_something_else_is(
    piv: PivProgram, tag: int, first: bytes, second: bytes
) -> None:
    piv.manage()
    piv.verify()
    before = get(piv, tag)
    for content in (first, second):
        assert put(piv, tag, content) == 0x9000
        assert get(piv, tag) == (tlv(0x53, content), 0x9000)
    piv.card.power_off()
    piv.card.power_on()
    piv.manage()
    piv.verify()
    assert get(piv, tag) == (tlv(0x53, second), 0x9000)
    assert put(piv, tag, b"") == 0x9000
    assert get(piv, tag) == before


@pytest.mark.parametrize("tag", [DISCOVERY, BIOMETRIC_GROUP])
def test_two_templates_stand_in_no_other(piv: PivProgram, tag: int) -> None:
    before = get(piv, tag)
    piv.manage()
    piv.ok(PUT, 0x3F, 0xFF, tlv(tag, b"as it is"))
    assert get(piv, tag) == (tlv(tag, b"as it is"), 0x9000)
    piv.ok(PUT, 0x3F, 0xFF, name(tag) + tlv(0x53, b"another way"))
    assert get(piv, tag) == (tlv(tag, b"another way"), 0x9000)
    piv.ok(PUT, 0x3F, 0xFF, tlv(tag))
    assert get(piv, tag) == before


@pytest.mark.parametrize(
    "data",
    [
        b"",
        name(0x5FFF15),
        tlv(0x53, b"x"),
        tlv(0x53, b"x") + name(0x5FFF15),
        name(0x5FFF15) + tlv(0x54, b"x"),
        name(0x5FFF15) + tlv(0x53, b"x") + b"\x00",
        name(0x5FFF15) + b"\x53\x05x",
        tlv(0x5C) + tlv(0x53, b"x"),
    ],
)
def test_what_is_no_data_object_is_not_put(piv: PivProgram, data: bytes) -> None:
    piv.manage()
    assert piv.sw(PUT, 0x3F, 0xFF, data) == 0x6A80
    assert get(piv, 0x5FFF15) == (b"", 0x6A82)


def test_a_tag_that_no_object_can_have_is_not_put(piv: PivProgram) -> None:
    piv.manage()
    for tag in (0x01, 0x53, 0x5F2F, 0x5FFF, 0x7F49, 0x7F8101):
        assert put(piv, tag, b"x") == 0x6A81


def test_what_is_too_large_leaves_what_was_there(piv: PivProgram) -> None:
    piv.manage()
    assert put(piv, 0x5FFF15, bytes(LARGEST)) == 0x9000
    assert put(piv, 0x5FFF15, bytes(LARGEST + 1)) == 0x6A84
    assert get(piv, 0x5FFF15) == (tlv(0x53, bytes(LARGEST)), 0x9000)


def test_another_program_sees_what_was_put(piv: PivProgram, program: Program) -> None:
    piv.manage()
    put(piv, 0x5FFF15, b"for all")
    put(piv, PRINTED, b"for its owner")
    session = program.open()
    assert [
        program.read(session, each, 0x11) for each in program.find(session, CLASS=CKO.DATA)
    ] == [b"for all"]
    program.C_Login(session, CKU.USER, b"123456")
    found = program.find(session, CLASS=CKO.DATA)
    assert sorted(program.read(session, each, 0x11) for each in found) == [
        b"for all",
        b"for its owner",
    ]


# Yubico's


def test_version_and_serial_number(piv: PivProgram) -> None:
    assert piv.ok(0xFD, 0, 0) == bytes([5, 7, 4])
    serial = piv.ok(0xF8, 0, 0)
    assert len(serial) == 4
    assert serial[0] < 0x80, "yubico-piv-tool shows it as a number with a sign"
    piv.card.reset()
    assert piv.ok(0xF8, 0, 0) == serial
    for ins in (0xFD, 0xF8):
        assert piv.sw(ins, 1, 0) == 0x6A86


def test_tries_are_set_with_the_management_key_and_the_pin_alone(piv: PivProgram) -> None:
    assert piv.sw(0xFA, 3, 4) == 0x6982
    piv.verify()
    assert piv.sw(0xFA, 3, 4) == 0x6982
    piv.ok(0x20, 0xFF, 0x80)
    piv.manage()
    assert piv.sw(0xFA, 3, 4) == 0x6982
    piv.ok(0x24, 0, 0x80, PIN + b"24682468")
    assert piv.sw(0xFA, 0, 4) == 0x6A86
    assert piv.sw(0xFA, 3, 0) == 0x6A86
    piv.ok(0xFA, 3, 4)
    assert piv.sw(0x20, 0, 0x80) == 0x63C3
    assert piv.sw(0x20, 0, 0x80, b"24682468") == 0x63C2
    assert piv.sw(0x20, 0, 0x80, PIN) == 0x9000
    assert piv.sw(0x2C, 0, 0x80, PIN + PIN) == 0x63C3
    assert piv.sw(0x2C, 0, 0x80, PUK + PIN) == 0x9000


def test_more_tries_than_a_status_word_holds_are_told_as_fifteen(piv: PivProgram) -> None:
    piv.verify()
    piv.manage()
    piv.ok(0xFA, 255, 255)
    assert piv.sw(0x20, 0, 0x80) == 0x63CF
    assert piv.sw(0x20, 0, 0x80, PUK) == 0x63CF


def spend(piv: PivProgram, ins: int) -> None:
    wrong = b"99999999" + (PIN if ins == 0x2C else b"")
    while piv.sw(ins, 0, 0x80, wrong) != 0x6983:
        pass


def test_a_card_is_reset_when_both_are_blocked(piv: PivProgram) -> None:
    piv.manage()
    put(piv, 0x5FFF15, b"x")
    put(piv, PRINTED, b"x")
    piv.generate(0x9A, 0x11)
    piv.ok(0xFF, 0xFF, 0xFF, b"\x08" + tlv(0x9B, bytes(16)))
    assert piv.sw(0xFB, 0, 0) == 0x6985
    spend(piv, 0x20)
    assert piv.sw(0xFB, 0, 0) == 0x6985
    spend(piv, 0x2C)
    assert piv.sw(0xFB, 1, 0) == 0x6A86
    piv.ok(0xFB, 0, 0)
    assert piv.sw(0x20, 0, 0x80) == 0x63CA
    assert not piv.manages
    assert get(piv, 0x5FFF15) == (b"", 0x6A82)
    piv.verify()
    assert get(piv, PRINTED) == (b"", 0x6A82)
    piv.manage()
    assert piv.challenge(0x9A, 0x11, bytes(32))[1] != 0x9000


def test_the_management_application_tells_what_the_key_is(piv: PivProgram) -> None:
    serial = piv.ok(0xF8, 0, 0)
    text = piv.ok(0xA4, 4, 0, bytes.fromhex("A000000527471117"))
    assert text.split()[-1] == b"5.7.4"
    told = piv.ok(0x1D, 0, 0)
    assert told[0] == len(told) - 1
    facts = members(told[1:])
    assert facts[0x02] == serial
    assert facts[0x05] == bytes([5, 7, 4])
    assert facts[0x01] == facts[0x03] == b"\x00\x10", "PIV alone"
    assert piv.sw(0x1D, 1, 0) == 0x6A86
    assert piv.sw(0x1C, 0, 0, b"\x00") == 0x6D00

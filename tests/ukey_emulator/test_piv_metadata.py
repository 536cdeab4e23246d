"""Yubico's GET METADATA: what everybody may know (F7)."""

import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from piv_program import (
    ED25519,
    P256,
    P384,
    PIN,
    PUK,
    RSA2048,
    X25519,
    PivProgram,
    members,
    public_key,
    tlv,
)
from test_piv_import import scalar


def metadata(piv: PivProgram, reference: int) -> dict[int, bytes]:
    return members(piv.ok(0xF7, 0x00, reference))


@pytest.mark.parametrize("algorithm", [RSA2048, P256, P384, ED25519, X25519])
def test_keys(piv: PivProgram, algorithm: int) -> None:
    piv.manage()
    public = piv.generate(0x9A, algorithm)
    piv.card.reset()
    told = metadata(piv, 0x9A)
    assert public_key(algorithm, told.pop(0x04)) == public
    assert told == {0x01: bytes([algorithm]), 0x02: b"\x02\x01", 0x03: b"\x01"}


@pytest.mark.parametrize(
    ("slot", "policy"), [(0x9A, 2), (0x9C, 3), (0x9D, 2), (0x9E, 1), (0x82, 2), (0x95, 2)]
)
def test_policies(piv: PivProgram, slot: int, policy: int) -> None:
    piv.manage()
    piv.generate(slot, P256)
    assert metadata(piv, slot)[0x02] == bytes([policy, 1])
    for pin in (1, 2, 3):
        for touch in (1, 2, 3):
            piv.generate(slot, P256, tlv(0xAA, bytes([pin])) + tlv(0xAB, bytes([touch])))
            assert metadata(piv, slot)[0x02] == bytes([pin, touch])


def test_an_imported_key(piv: PivProgram) -> None:
    piv.manage()
    key = ec.generate_private_key(ec.SECP256R1())
    piv.ok(0xFE, P256, 0x9D, scalar(key) + tlv(0xAA, b"\x03") + tlv(0xAB, b"\x03"))
    told = metadata(piv, 0x9D)
    assert public_key(P256, told.pop(0x04)) == key.public_key()
    assert told == {0x01: bytes([P256]), 0x02: b"\x03\x03", 0x03: b"\x02"}


def test_the_key_that_attests(piv: PivProgram) -> None:
    told = metadata(piv, 0xF9)
    assert told[0x03] == b"\x01"
    assert public_key(told[0x01][0], told[0x04])


def test_pin_and_puk(piv: PivProgram) -> None:
    for reference in (0x80, 0x81):
        assert metadata(piv, reference) == {0x01: b"\xff", 0x05: b"\x01", 0x06: b"\x0a\x0a"}
    assert piv.sw(0x20, 0x00, 0x80, b"654321\xff\xff") == 0x63C9
    assert piv.sw(0x2C, 0x00, 0x80, b"87654321" + PIN) == 0x63C9
    for reference in (0x80, 0x81):
        assert metadata(piv, reference)[0x06] == b"\x0a\x09"
    # To ask costs no try.
    assert metadata(piv, 0x80)[0x06] == b"\x0a\x09"
    piv.ok(0x24, 0x00, 0x80, PIN + b"234567\xff\xff")
    piv.ok(0x24, 0x00, 0x81, PUK + b"23456789")
    for reference in (0x80, 0x81):
        assert metadata(piv, reference) == {0x01: b"\xff", 0x05: b"\x00", 0x06: b"\x0a\x0a"}


def test_the_management_key(piv: PivProgram) -> None:
    assert metadata(piv, 0x9B) == {0x01: b"\x03", 0x02: b"\x00\x01", 0x05: b"\x01"}
    piv.manage()
    for algorithm, length, p2, touch in (
        (0x03, 24, 0xFF, 1),
        (0x08, 16, 0xFE, 2),
        (0x0A, 24, 0xFF, 1),
        (0x0C, 32, 0xFE, 2),
    ):
        key = secrets.token_bytes(length)
        piv.ok(0xFF, 0xFF, p2, bytes([algorithm]) + tlv(0x9B, key))
        expected = {0x01: bytes([algorithm]), 0x02: bytes([0, touch]), 0x05: b"\x00"}
        assert metadata(piv, 0x9B) == expected


def test_what_there_is_nothing_to_tell_of(piv: PivProgram) -> None:
    for reference in (0x9A, 0x9C, 0x82, 0x95, 0x00, 0x04, 0x96, 0x98, 0xFF):
        assert piv.sw(0xF7, 0x00, reference) == 0x6A88
    assert piv.sw(0xF7, 0x01, 0x80) == 0x6A86
    assert piv.sw(0xF7, 0x00, 0x80, b"\0") == 0x6A86

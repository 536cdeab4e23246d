"""GENERATE ASYMMETRIC KEY PAIR, and using what was made (SP 800-73-5 Part 2 §3.3.2)."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from piv_program import (
    ED25519,
    P256,
    P384,
    RSA1024,
    RSA2048,
    RSA3072,
    RSA4096,
    X25519,
    PivProgram,
    PublicKey,
    members,
    padded,
    tlv,
)

from ukey_emulator.card.card import Card

SLOTS = [0x9A, 0x9C, 0x9D, 0x9E, *range(0x82, 0x96)]


def works(piv: PivProgram, slot: int, algorithm: int, public: PublicKey) -> bool:
    """Tell whether the key in a slot is that public key's."""
    if isinstance(public, x25519.X25519PublicKey):
        other = x25519.X25519PrivateKey.generate()
        point = other.public_key().public_bytes_raw()
        secret, _ = piv.exponentiate(slot, algorithm, point)
        return secret == other.exchange(public)
    if isinstance(public, ed25519.Ed25519PublicKey):
        signature, _ = piv.challenge(slot, algorithm, b"message")
        public.verify(signature, b"message")
        return True
    if isinstance(public, ec.EllipticCurvePublicKey):
        digest = bytes(range(public.key_size // 8))
        hashed = hashes.SHA256() if algorithm == P256 else hashes.SHA384()
        signature, _ = piv.challenge(slot, algorithm, digest)
        public.verify(signature, digest, ec.ECDSA(Prehashed(hashed)))
        return True
    block = padded(public.key_size, b"message")
    signature, _ = piv.challenge(slot, algorithm, block)
    numbers = public.public_numbers()
    return pow(int.from_bytes(signature), numbers.e, numbers.n) == int.from_bytes(block)


def request(algorithm: int, *more: bytes) -> bytes:
    return tlv(0xAC, tlv(0x80, bytes([algorithm])), *more)


@pytest.mark.parametrize(
    "algorithm", [RSA1024, RSA2048, RSA3072, RSA4096, P256, P384, ED25519, X25519]
)
def test_each_algorithm(piv: PivProgram, algorithm: int) -> None:
    piv.manage()
    public = piv.generate(0x9A, algorithm)
    assert piv.challenge(0x9A, algorithm, bytes(32)) == (b"", 0x6982)
    piv.verify()
    assert works(piv, 0x9A, algorithm, public)


def test_each_slot(piv: PivProgram) -> None:
    piv.manage()
    publics = {slot: piv.generate(slot, P256) for slot in SLOTS}
    for slot, public in publics.items():
        piv.verify()
        assert works(piv, slot, P256, public)
    piv.generate(0xF9, P256)


def test_a_new_key_takes_the_place_of_the_old_one(piv: PivProgram) -> None:
    piv.manage()
    piv.verify()
    old = piv.generate(0x9A, P256)
    new = piv.generate(0x9A, P384)
    assert old != new
    assert piv.challenge(0x9A, P256, bytes(32)) == (b"", 0x6A80)
    assert works(piv, 0x9A, P384, new)


def test_a_key_that_nobody_opened_is_made_and_outlives_the_power(piv: PivProgram) -> None:
    piv.manage()
    public = piv.generate(0x9A, P256)
    piv.card.power_off()
    piv.card.power_on()
    assert piv.challenge(0x9A, P256, bytes(32)) == (b"", 0x6982)
    piv.verify()
    assert works(piv, 0x9A, P256, public)


def test_it_wants_the_management_key(piv: PivProgram) -> None:
    assert piv.sw(0x47, 0x00, 0x9A, request(P256)) == 0x6982
    piv.verify()
    assert piv.sw(0x47, 0x00, 0x9A, request(P256)) == 0x6982
    piv.manage()
    public = piv.generate(0x9A, P256)
    piv.card.reset()
    assert piv.sw(0x47, 0x00, 0x9A, request(P256)) == 0x6982
    piv.verify()
    assert works(piv, 0x9A, P256, public)


def test_what_cannot_be_made_leaves_what_there_is(piv: PivProgram) -> None:
    piv.manage()
    piv.verify()
    public = piv.generate(0x9A, P256)
    for data in (
        b"",
        b"\xac",
        tlv(0xAC),
        tlv(0x80, b"\x11"),
        request(0x03),
        request(0x27),
        request(0xFF),
        tlv(0xAC, tlv(0x80, b"\x00\x11\x00")),
        tlv(0xAC, tlv(0x80)),
        request(P256, tlv(0x80, b"\x11")),
        request(P256, tlv(0x81, b"\x01\x00\x01")),
        request(RSA2048, tlv(0x81, b"\x03")),
        request(P256, tlv(0xAA, b"\x06")),
        request(P256, tlv(0xAA, b"")),
        request(P256, tlv(0xAA, b"\x01\x01")),
        request(P256, tlv(0xAB, b"\x04")),
        request(P256, tlv(0xAC, b"\x01")),
        request(P256) + b"\x00\x00",
    ):
        assert piv.sw(0x47, 0x00, 0x9A, data) == 0x6A80, data.hex()
    for slot in (0x00, 0x04, 0x80, 0x81, 0x96, 0x99, 0x9B, 0xF8, 0xFF):
        assert piv.sw(0x47, 0x00, slot, request(P256)) == 0x6A86
    assert piv.sw(0x47, 0x01, 0x9A, request(P256)) == 0x6A86
    assert piv.sw(0x47, 0x00, 0xF9, request(X25519)) == 0x6A80
    assert works(piv, 0x9A, P256, public)


def test_the_one_exponent_may_be_said(piv: PivProgram) -> None:
    piv.manage()
    public = piv.ok(0x47, 0x00, 0x9A, request(RSA1024, tlv(0x81, b"\x01\x00\x01")))
    assert members(members(public)[0x7F49])[0x82] == b"\x01\x00\x01"


def test_the_slots_have_policies_of_their_own(piv: PivProgram, card: Card) -> None:
    piv.manage()
    for slot in (0x9A, 0x9C, 0x9D, 0x9E):
        piv.generate(slot, P256)
    digest = bytes(32)
    assert piv.challenge(0x9E, P256, digest)[1] == 0x9000
    for slot in (0x9A, 0x9C, 0x9D):
        assert piv.challenge(slot, P256, digest) == (b"", 0x6982)
    piv.verify()
    for slot in (0x9A, 0x9D, 0x9A, 0x9E, 0x9C):
        assert piv.challenge(slot, P256, digest)[1] == 0x9000
    assert piv.challenge(0x9C, P256, digest) == (b"", 0x6982)
    assert piv.challenge(0x9A, P256, digest)[1] == 0x9000
    piv.verify()
    assert piv.challenge(0x9C, P256, digest)[1] == 0x9000
    card.reset()
    assert piv.challenge(0x9A, P256, digest) == (b"", 0x6982)
    assert piv.challenge(0x9E, P256, digest)[1] == 0x9000


@pytest.mark.parametrize(("policy", "expected"), [(1, [1, 1, 1]), (2, [0, 1, 1]), (3, [0, 1, 0])])
@pytest.mark.parametrize("slot", [0x9A, 0x9C, 0x9E, 0x82])
def test_pin_policies_that_were_asked_for(
    piv: PivProgram, slot: int, policy: int, expected: list[int]
) -> None:
    piv.manage()
    touch = tlv(0xAB, bytes([policy]))
    public = piv.generate(slot, P256, tlv(0xAA, bytes([policy])) + touch)
    allowed = [piv.challenge(slot, P256, bytes(32))[1] == 0x9000]
    piv.verify()
    allowed += [piv.challenge(slot, P256, bytes(32))[1] == 0x9000 for _ in range(2)]
    assert allowed == expected
    piv.verify()
    assert works(piv, slot, P256, public)


def test_the_default_policies_may_be_asked_for(piv: PivProgram) -> None:
    piv.manage()
    piv.generate(0x9E, P256, tlv(0xAA, b"\x00") + tlv(0xAB, b"\x00"))
    assert piv.challenge(0x9E, P256, bytes(32))[1] == 0x9000

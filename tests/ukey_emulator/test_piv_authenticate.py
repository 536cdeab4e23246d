"""GENERAL AUTHENTICATE with key pairs: signing, deciphering, agreeing (SP 800-73-5 Part 2 §3.2.4).

The published vectors are Project Wycheproof's and RFC 8032's.
"""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from piv_program import (
    ED25519,
    P256,
    P384,
    RSA1024,
    RSA2048,
    X25519,
    PivProgram,
    padded,
    tlv,
)
from program import Program, attributes
from test_piv_import import rsa_parts

from ukey_emulator.cryptoki.wire import Mechanism
from ukey_emulator.terms import CKM, CKO, CKU

VECTORS = Path(__file__).parent / "vectors"
# Secret key, message, R and S: tests 1 to 3 of RFC 8032 §7.1.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac",
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.fixture
def user(piv: PivProgram) -> PivProgram:
    piv.manage()
    piv.verify()
    return piv


@pytest.fixture
def key(user: PivProgram) -> rsa.RSAPrivateKey:
    key = rsa.generate_private_key(65537, 2048)
    user.ok(0xFE, RSA2048, 0x9A, b"".join(rsa_parts(key)))
    return key


def groups(name: str) -> list[Any]:
    found: list[Any] = json.loads((VECTORS / f"{name}.json").read_text())["testGroups"]
    return found


def raised(key: rsa.RSAPrivateKey, signature: bytes) -> bytes:
    numbers = key.public_key().public_numbers()
    return pow(int.from_bytes(signature), numbers.e, numbers.n).to_bytes(key.key_size // 8)


def test_rsa_signs_whatever_padding_the_program_chose(
    user: PivProgram, key: rsa.RSAPrivateKey
) -> None:
    for block in (
        padded(2048, b"message"),
        padded(2048, b""),
        bytes(255) + b"\x02",
        b"\x00" + bytes(range(255)),
        bytes(256),
    ):
        signature, sw = user.challenge(0x9A, RSA2048, block)
        assert sw == 0x9000
        assert raised(key, signature) == block


def test_rsa_deciphers(user: PivProgram, key: rsa.RSAPrivateKey) -> None:
    sealed = key.public_key().encrypt(b"secret", padding.PKCS1v15())
    clear, _ = user.challenge(0x9A, RSA2048, sealed)
    assert clear[:2] == b"\x00\x02"
    assert clear[2:].partition(b"\x00")[2] == b"secret"
    assert raised(key, clear) == sealed


def test_rsa_blocks_that_are_none(user: PivProgram, key: rsa.RSAPrivateKey) -> None:
    n = key.public_key().public_numbers().n
    for block in (b"", bytes(255), bytes(257), b"\xff" * 256, n.to_bytes(256)):
        assert user.challenge(0x9A, RSA2048, block) == (b"", 0x6A80)
    assert user.challenge(0x9A, RSA2048, (n - 1).to_bytes(256))[1] == 0x9000
    assert user.exponentiate(0x9A, RSA2048, bytes(256)) == (b"", 0x6A80)


@pytest.mark.parametrize(
    ("algorithm", "hashed"), [(P256, hashes.SHA256()), (P384, hashes.SHA384())]
)
def test_ecdsa(user: PivProgram, algorithm: int, hashed: hashes.HashAlgorithm) -> None:
    public = user.generate(0x9A, algorithm)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    size = hashed.digest_size
    # A shorter digest is the number that it is with zeros in front.
    for digest in (bytes(range(size)), b"\xff" * size, b"\x01" * 20, b"\x07"):
        signature, sw = user.challenge(0x9A, algorithm, digest)
        assert sw == 0x9000
        public.verify(signature, digest.rjust(size, b"\0"), ec.ECDSA(Prehashed(hashed)))
    assert user.challenge(0x9A, algorithm, b"") == (b"", 0x6A80)
    assert user.challenge(0x9A, algorithm, bytes(size + 1)) == (b"", 0x6A80)


def test_ed25519_signs_messages(user: PivProgram) -> None:
    for secret, message, *signature in RFC_8032:
        user.ok(0xFE, ED25519, 0x9A, tlv(0x07, bytes.fromhex(secret)))
        answer, _ = user.challenge(0x9A, ED25519, bytes.fromhex(message))
        assert answer.hex() == "".join(signature)
    assert user.challenge(0x9A, ED25519, bytes(5000))[1] == 0x9000
    assert user.exponentiate(0x9A, ED25519, bytes(32)) == (b"", 0x6A80)


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [(P256, "ecdh_secp256r1_ecpoint"), (P384, "ecdh_secp384r1_ecpoint")],
)
def test_published_agreements(user: PivProgram, algorithm: int, name: str) -> None:
    size = 32 if algorithm == P256 else 48
    seen = set()
    for group in groups(name):
        for test in group["tests"]:
            private = int(test["private"], 16).to_bytes(size)
            user.ok(0xFE, algorithm, 0x9D, tlv(0x06, private))
            point = bytes.fromhex(test["public"])
            # PIV has no compressed points (SP 800-73-5 Part 2 §3.2.4).
            valid = test["result"] == "valid" and len(point) == 1 + 2 * size
            seen.add(valid)
            expected = (bytes.fromhex(test["shared"]), 0x9000) if valid else (b"", 0x6A80)
            assert user.exponentiate(0x9D, algorithm, point) == expected, test["tcId"]
    assert seen == {True, False}


def test_published_agreements_on_curve25519(user: PivProgram) -> None:
    seen = set()
    for group in groups("x25519"):
        for test in group["tests"]:
            user.ok(0xFE, X25519, 0x9D, tlv(0x08, bytes.fromhex(test["private"])))
            shared = bytes.fromhex(test["shared"])
            # A point of low order leads to no secret (RFC 7748 §6.1).
            seen.add(any(shared))
            expected = (shared, 0x9000) if any(shared) else (b"", 0x6A80)
            point = bytes.fromhex(test["public"])
            assert user.exponentiate(0x9D, X25519, point) == expected, test["tcId"]
    assert seen == {True, False}


@pytest.mark.parametrize(("algorithm", "size"), [(P256, 32), (P384, 48)])
def test_points_that_are_none(user: PivProgram, algorithm: int, size: int) -> None:
    curve = ec.SECP256R1() if algorithm == P256 else ec.SECP384R1()
    other = ec.generate_private_key(curve)
    user.generate(0x9D, algorithm)
    numbers = other.public_key().public_numbers()
    x, y = numbers.x.to_bytes(size), numbers.y.to_bytes(size)
    assert user.exponentiate(0x9D, algorithm, b"\x04" + x + y)[1] == 0x9000
    for point in (
        b"",
        b"\x00",
        b"\x04" + x + bytes([y[0] ^ 1]) + y[1:],
        b"\x04" + bytes(2 * size),
        b"\x04" + b"\xff" * 2 * size,
        b"\x04" + x + y[:-1],
        b"\x04" + x + y + b"\0",
        b"\x02" + x,
        b"\x06" + x + y,
        b"\x04" + bytes([2 * size + 1]) + b"\x04" + x + y,
        x + y,
    ):
        assert user.exponentiate(0x9D, algorithm, point) == (b"", 0x6A80), point.hex()


def test_x25519_only_agrees(user: PivProgram) -> None:
    user.generate(0x9D, X25519)
    assert user.challenge(0x9D, X25519, bytes(32)) == (b"", 0x6A80)
    for point in (b"", bytes(31), bytes(33), bytes(32), b"\x04\x20" + b"\x09" * 32):
        assert user.exponentiate(0x9D, X25519, point) == (b"", 0x6A80)


def test_keys_that_are_not_there_and_algorithms_that_are_not_theirs(user: PivProgram) -> None:
    assert user.challenge(0x9A, P256, bytes(32)) == (b"", 0x6A80)
    user.generate(0x9A, P256)
    for algorithm in (0x00, 0x03, RSA2048, P384, 0x27, ED25519, 0xFF):
        assert user.challenge(0x9A, algorithm, bytes(32)) == (b"", 0x6A80)
    for slot in (0x00, 0x04, 0x80, 0x81, 0x96, 0x99, 0xF9, 0xFF):
        assert user.challenge(slot, P256, bytes(32)) == (b"", 0x6A86)


@pytest.mark.parametrize(
    "template",
    [
        b"",
        tlv(0x81),
        tlv(0x80),
        tlv(0x82),
        tlv(0x81, bytes(32)),
        tlv(0x85, bytes(65)),
        tlv(0x82, b"\x01") + tlv(0x81, bytes(32)),
        tlv(0x82) + tlv(0x81, bytes(32)) + tlv(0x85, bytes(65)),
        tlv(0x82) + tlv(0x82) + tlv(0x81, bytes(32)),
        tlv(0x82) + tlv(0x83, bytes(32)),
        tlv(0x82) + b"\x81\x20",
    ],
)
def test_templates_that_ask_for_nothing(user: PivProgram, template: bytes) -> None:
    user.generate(0x9A, P256)
    assert user.sw(0x87, P256, 0x9A, tlv(0x7C, template)) == 0x6A80
    assert user.sw(0x87, P256, 0x9A, template) == 0x6A80
    # In whichever order it stands is all the same.
    answer = user.ok(0x87, P256, 0x9A, tlv(0x7C, tlv(0x81, bytes(32)), tlv(0x82)))
    assert answer[0] == 0x7C


def test_a_pin_that_is_always_wanted_is_used_up_by_its_key_alone(user: PivProgram) -> None:
    user.generate(0x9A, P256)
    user.generate(0x9C, P256)
    user.verify()
    assert user.challenge(0x9C, P384, bytes(32)) == (b"", 0x6A80)
    assert user.sw(0x87, P256, 0x9C, tlv(0x7C, tlv(0x81))) == 0x6A80
    assert user.challenge(0x9A, P256, bytes(32))[1] == 0x9000
    assert user.challenge(0x9C, P256, bytes(32))[1] == 0x9000
    assert user.challenge(0x9C, P256, bytes(32)) == (b"", 0x6982)
    user.verify()
    user.ok(0x20, 0xFF, 0x80)
    assert user.challenge(0x9C, P256, bytes(32)) == (b"", 0x6982)
    user.verify()
    assert user.sw(0x20, 0x00, 0x80, b"654321\xff\xff") & 0xFFF0 == 0x63C0
    assert user.challenge(0x9C, P256, bytes(32)) == (b"", 0x6982)


def test_what_pkcs11_forbids_a_key_it_does_not_do_here(piv: PivProgram, program: Program) -> None:
    """A key's attributes bind both faces (PKCS#11 3.2 §4.9)."""
    piv.manage()
    piv.verify()
    piv.generate(0x9A, P256)
    piv.ok(0xFE, RSA1024, 0x9D, b"".join(rsa_parts(rsa.generate_private_key(65537, 1024))))  # noqa: S505
    session = program.open(user=CKU.USER)
    for ident, uses in ((b"\x01", ["SIGN"]), (b"\x03", ["SIGN", "DECRYPT"])):
        (handle,) = program.find(session, CLASS=int(CKO.PRIVATE_KEY), ID=ident)
        program.C_SetAttributeValue(session, handle, attributes(**dict.fromkeys(uses, False)))
    assert piv.challenge(0x9A, P256, bytes(32)) == (b"", 0x6985)
    assert piv.challenge(0x9D, RSA1024, padded(1024, b"x")) == (b"", 0x6985)


def test_mechanisms_that_a_key_is_kept_to(piv: PivProgram, program: Program) -> None:
    session = program.open(user=CKU.USER)
    allowed = {
        b"a": b"".join(struct.pack("<Q", kind) for kind in (CKM.ECDSA_SHA256, CKM.ECDH1_DERIVE)),
        b"b": struct.pack("<Q", CKM.ECDSA),
    }
    private = ec.generate_private_key(ec.SECP256R1())
    for ident, mechanisms in allowed.items():
        program.C_GenerateKeyPair(
            session,
            Mechanism(CKM.EC_KEY_PAIR_GEN, None),
            attributes(TOKEN=True, EC_PARAMS=bytes.fromhex("06082a8648ce3d030107"), ID=ident),
            attributes(
                TOKEN=True,
                ID=ident,
                PRIVATE=True,
                SIGN=True,
                DERIVE=True,
                ALLOWED_MECHANISMS=mechanisms,
            ),
            True,
            True,
        )
    piv.verify()
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    found = {
        (piv.challenge(slot, P256, bytes(32))[1], piv.exponentiate(slot, P256, point)[1])
        for slot in (0x9A, 0x9C, 0x9D, 0x9E, *range(0x82, 0x96))
    }
    assert found == {(0x6985, 0x9000), (0x9000, 0x6985), (0x6A80, 0x6A80)}


def test_a_login_through_pkcs11_is_none_through_piv(piv: PivProgram, program: Program) -> None:
    piv.manage()
    piv.generate(0x9A, P256)
    program.open(user=CKU.USER)
    assert piv.challenge(0x9A, P256, bytes(32)) == (b"", 0x6982)
    piv.verify()
    assert piv.challenge(0x9A, P256, bytes(32))[1] == 0x9000

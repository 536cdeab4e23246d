"""Yubico's IMPORT ASYMMETRIC KEY: keys that come from elsewhere (FE)."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
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
    padded,
    tlv,
)

RSA_BITS = {RSA1024: 1024, RSA2048: 2048, RSA3072: 3072, RSA4096: 4096}


def rsa_parts(key: rsa.RSAPrivateKey) -> list[bytes]:
    """Give what a program sends for an RSA key, in order."""
    numbers = key.private_numbers()
    half = key.key_size // 16
    values = (numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    return [tlv(tag, value.to_bytes(half)) for tag, value in enumerate(values, 1)]


def scalar(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Give what a program sends for an EC key."""
    return tlv(0x06, key.private_numbers().private_value.to_bytes(key.key_size // 8))


@pytest.fixture
def manager(piv: PivProgram) -> PivProgram:
    piv.manage()
    piv.verify()
    return piv


@pytest.mark.parametrize("algorithm", [RSA1024, RSA2048, RSA3072])
def test_rsa_keys(manager: PivProgram, algorithm: int) -> None:
    key = rsa.generate_private_key(65537, RSA_BITS[algorithm])
    numbers = key.public_key().public_numbers()
    block = padded(key.key_size, b"message")
    parts = rsa_parts(key)
    # The primes alone say it all.
    for sent in (parts, parts[:2]):
        manager.ok(0xFE, algorithm, 0x9A, b"".join(sent))
        signature, _ = manager.challenge(0x9A, algorithm, block)
        assert pow(int.from_bytes(signature), numbers.e, numbers.n) == int.from_bytes(block)


@pytest.mark.parametrize(("algorithm", "curve"), [(P256, ec.SECP256R1()), (P384, ec.SECP384R1())])
def test_elliptic_curve_keys(manager: PivProgram, algorithm: int, curve: ec.EllipticCurve) -> None:
    key, other = ec.generate_private_key(curve), ec.generate_private_key(curve)
    manager.ok(0xFE, algorithm, 0x9D, scalar(key))
    numbers = other.public_key().public_numbers()
    half = curve.key_size // 8
    point = b"\x04" + numbers.x.to_bytes(half) + numbers.y.to_bytes(half)
    secret, _ = manager.exponentiate(0x9D, algorithm, point)
    assert secret == other.exchange(ec.ECDH(), key.public_key())


def test_edwards_and_montgomery_keys(manager: PivProgram) -> None:
    edwards = ed25519.Ed25519PrivateKey.generate()
    manager.ok(0xFE, ED25519, 0x9A, tlv(0x07, edwards.private_bytes_raw()))
    assert manager.challenge(0x9A, ED25519, b"text") == (edwards.sign(b"text"), 0x9000)
    montgomery, other = x25519.X25519PrivateKey.generate(), x25519.X25519PrivateKey.generate()
    manager.ok(0xFE, X25519, 0x9D, tlv(0x08, montgomery.private_bytes_raw()))
    secret, _ = manager.exponentiate(0x9D, X25519, other.public_key().public_bytes_raw())
    assert secret == other.exchange(montgomery.public_key())


def test_policies_come_along(manager: PivProgram) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    manager.ok(0xFE, P256, 0x9A, scalar(key) + tlv(0xAA, b"\x03") + tlv(0xAB, b"\x02"))
    assert manager.challenge(0x9A, P256, bytes(32))[1] == 0x9000
    assert manager.challenge(0x9A, P256, bytes(32)) == (b"", 0x6982)
    manager.ok(0xFE, P256, 0x9A, scalar(key) + tlv(0xAA, b"\x01"))
    manager.card.reset()
    assert manager.challenge(0x9A, P256, bytes(32))[1] == 0x9000


def test_it_wants_the_management_key(piv: PivProgram) -> None:
    key = scalar(ec.generate_private_key(ec.SECP256R1()))
    assert piv.sw(0xFE, P256, 0x9A, key) == 0x6982
    piv.verify()
    assert piv.sw(0xFE, P256, 0x9A, key) == 0x6982


def test_what_is_no_key_leaves_what_there_is(manager: PivProgram) -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505
    parts = rsa_parts(key)
    manager.ok(0xFE, RSA1024, 0x9A, b"".join(parts))
    numbers = key.private_numbers()
    other = rsa.generate_private_key(65537, 1024).private_numbers()  # noqa: S505
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for algorithm, data in [
        (RSA1024, b""),
        (RSA1024, parts[0]),
        (RSA1024, parts[0] * 2),
        (RSA1024, parts[0] + tlv(0x02, numbers.p.to_bytes(64))),
        (RSA1024, parts[0] + tlv(0x02, (numbers.q - 1).to_bytes(64))),
        (RSA1024, parts[0] + tlv(0x02, (numbers.q + 2).to_bytes(64))),
        (RSA1024, parts[0] + tlv(0x02, bytes(64))),
        (RSA1024, parts[0] + parts[1] + tlv(0x03, other.dmp1.to_bytes(64))),
        (RSA1024, b"".join(parts[:4]) + tlv(0x05, other.iqmp.to_bytes(64))),
        (RSA1024, b"".join(parts) + tlv(0x06, b"\x01")),
        (RSA1024, b"".join(parts) + tlv(0xAA, b"\x07")),
        (RSA1024, b"".join(parts)[:-1]),
        (RSA2048, b"".join(parts)),
        (RSA1024, tlv(0x06, bytes(31) + b"\x01")),
        (P256, b"".join(parts)),
        (P256, tlv(0x06, bytes(32))),
        (P256, tlv(0x06, order.to_bytes(32))),
        (P256, tlv(0x06, b"\x01" * 31)),
        (P384, tlv(0x06, b"\x01" * 32)),
        (P256, tlv(0x07, b"\x01" * 32)),
        (ED25519, tlv(0x08, b"\x01" * 32)),
        (ED25519, tlv(0x07, b"\x01" * 33)),
        (X25519, tlv(0x07, b"\x01" * 32)),
        (X25519, tlv(0x08, b"\x01" * 31)),
    ]:
        assert manager.sw(0xFE, algorithm, 0x9A, data) == 0x6A80, data.hex()
    for algorithm in (0x00, 0x03, 0x27, 0xE2):
        assert manager.sw(0xFE, algorithm, 0x9A, b"".join(parts)) == 0x6A86
    for slot in (0x00, 0x04, 0x80, 0x9B, 0xFF):
        assert manager.sw(0xFE, P256, slot, tlv(0x06, b"\x01" * 32)) == 0x6A86
    assert manager.sw(0xFE, X25519, 0xF9, tlv(0x08, b"\x01" * 32)) == 0x6A86
    block = padded(1024, b"still there")
    signature, _ = manager.challenge(0x9A, RSA1024, block)
    public = key.public_key().public_numbers()
    assert pow(int.from_bytes(signature), public.e, public.n) == int.from_bytes(block)

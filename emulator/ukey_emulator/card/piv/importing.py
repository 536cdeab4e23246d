"""IMPORT ASYMMETRIC KEY, Yubico's FE: a key pair that was made elsewhere."""

import math

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from ukey_emulator.card import tlv
from ukey_emulator.card.apdu import Command
from ukey_emulator.card.status import SW, CardRefusal

from . import policies
from .administrator import require
from .held import ATTESTATION, SLOTS, Algorithm, PrivateKey
from .piv import Piv

_PRIME_1, _PRIME_2, _EXPONENT_1, _EXPONENT_2, _COEFFICIENT = range(0x01, 0x06)
_SCALAR, _ED25519, _X25519 = 0x06, 0x07, 0x08
_RSA_BITS = {
    Algorithm.RSA_1024: 1024,
    Algorithm.RSA_2048: 2048,
    Algorithm.RSA_3072: 3072,
    Algorithm.RSA_4096: 4096,
}
_CURVES: dict[Algorithm, ec.EllipticCurve] = {
    Algorithm.ECC_P256: ec.SECP256R1(),
    Algorithm.ECC_P384: ec.SECP384R1(),
}
_PUBLIC_EXPONENT = 65537


def import_key(piv: Piv, command: Command) -> bytes:
    """Put a private key of algorithm P1 into the slot P2; what was in the slot is gone.

    6982 without 9B, 6A86 for what is no slot or no algorithm, 6A80 for what is no such key.
    """
    require(piv.state)
    if command.p2 not in SLOTS:
        raise CardRefusal(SW.INCORRECT_P1_P2, f"no key pair {command.p2:02X}")
    try:
        algorithm = Algorithm(command.p1)
    except ValueError as error:
        raise CardRefusal(SW.INCORRECT_P1_P2, str(error)) from None
    if command.p2 == ATTESTATION and algorithm is Algorithm.X25519:
        raise CardRefusal(SW.INCORRECT_P1_P2, "the key that attests has to sign")
    parts = tlv.members(command.data)
    pin, touch = policies.take(command.p2, parts)
    try:
        key = _load(algorithm, parts)
    except ValueError as error:
        raise CardRefusal(SW.INCORRECT_DATA, str(error)) from None
    piv.keys.put(command.p2, algorithm, key, pin, touch, generated=False)
    return b""


def _load(algorithm: Algorithm, parts: dict[int, bytes]) -> PrivateKey:
    """Load a private key out of its parts; ValueError if they are none of that algorithm."""
    if algorithm in _RSA_BITS:
        return _rsa(_RSA_BITS[algorithm], parts)
    if algorithm in _CURVES:
        curve = _CURVES[algorithm]
        scalar = _only(_SCALAR, parts, (curve.key_size + 7) // 8)
        return ec.derive_private_key(int.from_bytes(scalar), curve)
    if algorithm is Algorithm.ED25519:
        return ed25519.Ed25519PrivateKey.from_private_bytes(_only(_ED25519, parts, 32))
    return x25519.X25519PrivateKey.from_private_bytes(_only(_X25519, parts, 32))


def _only(tag: int, parts: dict[int, bytes], length: int) -> bytes:
    if parts.keys() != {tag} or len(parts[tag]) != length:
        raise ValueError(f"{tag:02X} of {length} bytes alone makes the key")
    return parts[tag]


def _rsa(bits: int, parts: dict[int, bytes]) -> rsa.RSAPrivateKey:
    """Load a key out of its primes; what follows from them may stand there too, and has to fit."""
    numbers = {tag: int.from_bytes(value) for tag, value in parts.items()}
    if not {_PRIME_1, _PRIME_2} <= numbers.keys() <= set(range(_PRIME_1, _COEFFICIENT + 1)):
        raise ValueError("two primes and what follows from them make the key")
    p, q = numbers[_PRIME_1], numbers[_PRIME_2]
    n = p * q
    if p == q or not n.bit_length() == 2 * p.bit_length() == 2 * q.bit_length() == bits:
        raise ValueError(f"two primes of half of {bits} bits make the key")
    d = pow(_PUBLIC_EXPONENT, -1, math.lcm(p - 1, q - 1))
    dp, dq, coefficient = d % (p - 1), d % (q - 1), pow(q, -1, p)
    for tag, value in ((_EXPONENT_1, dp), (_EXPONENT_2, dq), (_COEFFICIENT, coefficient)):
        if numbers.get(tag, value) != value:
            raise ValueError(f"{tag:02X} does not follow from the primes")
    public = rsa.RSAPublicNumbers(_PUBLIC_EXPONENT, n)
    # The library checks that the primes are such.
    return rsa.RSAPrivateNumbers(p, q, d, dp, dq, coefficient, public).private_key()

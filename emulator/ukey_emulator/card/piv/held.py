"""What a PIV slot can hold: algorithms and policies by the numbers that cards use."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

PublicKey = (
    rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | x25519.X25519PublicKey
)
PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | x25519.X25519PrivateKey
)

AUTHENTICATION, MANAGEMENT, SIGNATURE, KEY_MANAGEMENT, CARD_AUTHENTICATION = range(0x9A, 0x9F)
RETIRED = range(0x82, 0x96)
ATTESTATION = 0xF9
SLOTS = (AUTHENTICATION, SIGNATURE, KEY_MANAGEMENT, CARD_AUTHENTICATION, *RETIRED, ATTESTATION)
"""The slots that hold a key pair and its certificate; their place gives their usual CKA_ID."""


class Algorithm(IntEnum):
    """Algorithms of key pairs (NIST SP 800-78-5 table 6-2; from 0x16 on Yubico's)."""

    RSA_3072 = 0x05
    RSA_1024 = 0x06
    RSA_2048 = 0x07
    ECC_P256 = 0x11
    ECC_P384 = 0x14
    RSA_4096 = 0x16
    ED25519 = 0xE0
    X25519 = 0xE1

    @classmethod
    def of(cls, key: object) -> "Algorithm | None":
        """Give the algorithm of a public or private key, None if PIV has none for it."""
        match key:
            case rsa.RSAPublicKey() | rsa.RSAPrivateKey():
                return _RSA.get(key.key_size)
            case ec.EllipticCurvePublicKey() | ec.EllipticCurvePrivateKey():
                return _CURVES.get(key.curve.name)
            case ed25519.Ed25519PublicKey() | ed25519.Ed25519PrivateKey():
                return cls.ED25519
            case x25519.X25519PublicKey() | x25519.X25519PrivateKey():
                return cls.X25519
        return None

    def make(self) -> PrivateKey:
        """Make a new key."""
        return _MAKERS[self]()


_RSA = {
    1024: Algorithm.RSA_1024,
    2048: Algorithm.RSA_2048,
    3072: Algorithm.RSA_3072,
    4096: Algorithm.RSA_4096,
}
_CURVES = {"secp256r1": Algorithm.ECC_P256, "secp384r1": Algorithm.ECC_P384}


def _rsa(bits: int) -> Callable[[], PrivateKey]:
    return lambda: rsa.generate_private_key(65537, bits)


_MAKERS: dict[Algorithm, Callable[[], PrivateKey]] = {
    **{algorithm: _rsa(bits) for bits, algorithm in _RSA.items()},
    Algorithm.ECC_P256: lambda: ec.generate_private_key(ec.SECP256R1()),
    Algorithm.ECC_P384: lambda: ec.generate_private_key(ec.SECP384R1()),
    Algorithm.ED25519: ed25519.Ed25519PrivateKey.generate,
    Algorithm.X25519: x25519.X25519PrivateKey.generate,
}


class PinPolicy(IntEnum):
    """When a key wants the PIN: Yubico's numbers for what PKCS#11 says with two attributes."""

    NEVER = 1
    ONCE = 2
    ALWAYS = 3

    @classmethod
    def of(cls, slot: int) -> "PinPolicy":
        """Give the policy of a key in this slot where nothing else is wanted (SP 800-73-5)."""
        return {
            SIGNATURE: cls.ALWAYS,
            CARD_AUTHENTICATION: cls.NEVER,
            ATTESTATION: cls.NEVER,
        }.get(slot, cls.ONCE)


class TouchPolicy(IntEnum):
    """When a key wants to be touched, which this one takes as done."""

    NEVER = 1
    ALWAYS = 2
    CACHED = 3


@dataclass(frozen=True, slots=True)
class Held:
    """A key in a slot, as everybody may know it; no PIN is needed to learn this.

    `generated` says that it was made on this key and has never been elsewhere.
    """

    slot: int
    algorithm: Algorithm
    pin_policy: PinPolicy
    touch_policy: TouchPolicy
    generated: bool
    public_key: PublicKey

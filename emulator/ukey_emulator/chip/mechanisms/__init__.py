"""The mechanisms of the key, each declared with what it does; what is not here is refused."""

from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKR

from . import (
    aes,
    aes_aead,
    blowfish,
    camellia,
    chacha,
    derivation,
    des,
    digests,
    dsa,
    ecdh,
    ecdsa,
    eddsa,
    hmac,
    hybrid,
    kbkdf,
    kdf,
    keywrap,
    macs,
    mldsa,
    mlkem,
    raw_rsa,
    rsa,
    seed,
)
from .base import (
    Ciphering,
    Digester,
    Heir,
    Mechanism,
    Opening,
    Parameter,
    Recovery,
    Sealed,
    Sealing,
    Signer,
    Verifier,
)

_FAMILIES = (
    rsa,
    raw_rsa,
    dsa,
    ecdsa,
    eddsa,
    ecdh,
    mldsa,
    mlkem,
    aes,
    aes_aead,
    keywrap,
    hybrid,
    des,
    camellia,
    seed,
    blowfish,
    chacha,
    macs,
    hmac,
    derivation,
    kdf,
    kbkdf,
    digests,
)

MECHANISMS: dict[int, Mechanism] = {
    mechanism.kind: mechanism for family in _FAMILIES for mechanism in family.MECHANISMS
}


def find(kind: int) -> Mechanism:
    """Give the mechanism of that type; CKR_MECHANISM_INVALID if the key has none."""
    try:
        return MECHANISMS[kind]
    except KeyError:
        raise Refusal(CKR.MECHANISM_INVALID, f"mechanism {kind:#x}") from None


__all__ = [
    "MECHANISMS",
    "Ciphering",
    "Digester",
    "Heir",
    "Mechanism",
    "Opening",
    "Parameter",
    "Recovery",
    "Sealed",
    "Sealing",
    "Signer",
    "Verifier",
    "find",
]

"""The mechanisms of the key, each declared with what it does; what is not here is refused."""

from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKR

from . import aes, digests, ecdh, ecdsa, eddsa, hmac, keywrap, raw_rsa, rsa
from .base import Ciphering, Digester, Mechanism, Parameter, Recovery, Signer, Verifier

MECHANISMS: dict[int, Mechanism] = {
    mechanism.kind: mechanism
    for family in (rsa, raw_rsa, ecdsa, eddsa, ecdh, aes, keywrap, hmac, digests)
    for mechanism in family.MECHANISMS
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
    "Mechanism",
    "Parameter",
    "Recovery",
    "Signer",
    "Verifier",
    "find",
]

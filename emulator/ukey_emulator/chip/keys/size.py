"""How large a key is, or is to be: what C_GetMechanismInfo tells the least and the most of."""

from collections.abc import Mapping

from ukey_emulator.terms import CKA

from .ec import CURVES

_NUMBERS = (CKA.MODULUS_BITS, CKA.PRIME_BITS, CKA.VALUE_LEN)
_INTEGERS = (CKA.MODULUS, CKA.PRIME)


def size_of(attributes: Mapping[int, bytes | None]) -> int | None:
    """Give the size of a key, or of one that a template asks for; None if nothing tells it.

    Bits of a modulus, a prime or a curve, bytes of a secret key, as most mechanisms count (PKCS#11
    3.2 §3.6, CK_MECHANISM_INFO).
    """
    for attribute in _NUMBERS:
        value = attributes.get(attribute)
        if value:
            return int.from_bytes(value, "little")
    for attribute in _INTEGERS:
        value = attributes.get(attribute)
        if value:
            return int.from_bytes(value, "big").bit_length()
    curve = CURVES.get(attributes.get(CKA.EC_PARAMS) or b"")
    return None if curve is None else curve.key_size

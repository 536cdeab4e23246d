"""Attributes of objects as a profile writes them."""

from typing import Any

from ukey_emulator.profiles.content import TERMS
from ukey_emulator.terms import CKA, CKM

_WORD = 8
_BOOLS = frozenset(
    {
        *(CKA.TOKEN, CKA.PRIVATE, CKA.MODIFIABLE, CKA.COPYABLE, CKA.DESTROYABLE, CKA.TRUSTED),
        *(CKA.SENSITIVE, CKA.ENCRYPT, CKA.DECRYPT, CKA.WRAP, CKA.UNWRAP, CKA.SIGN, CKA.DERIVE),
        *(CKA.SIGN_RECOVER, CKA.VERIFY, CKA.VERIFY_RECOVER, CKA.EXTRACTABLE, CKA.LOCAL),
        *(CKA.NEVER_EXTRACTABLE, CKA.ALWAYS_SENSITIVE, CKA.ALWAYS_AUTHENTICATE),
    }
)
_NUMBERS = frozenset({CKA.CERTIFICATE_CATEGORY, CKA.JAVA_MIDP_SECURITY_DOMAIN, CKA.MODULUS_BITS})
_TEXTS = frozenset({CKA.LABEL, CKA.APPLICATION, CKA.UNIQUE_ID, CKA.URL})


def told(attributes: dict[int, bytes]) -> dict[str, Any]:
    """Give the members for these attributes: readable where the bytes are what they should be."""
    return {f"CKA_{CKA(kind).name}": _told(kind, value) for kind, value in attributes.items()}


def _told(kind: int, value: bytes) -> object:
    if kind in _BOOLS and value in (b"\0", b"\1"):
        return value == b"\1"
    number = int.from_bytes(value, "little")
    if len(value) == _WORD and kind in TERMS and number in set(TERMS[kind]):
        named = TERMS[kind](number)
        return f"{TERMS[kind].__name__}_{named.name}"
    if len(value) == _WORD and kind in _NUMBERS and number < 1 << 63:
        return number
    if kind == CKA.ALLOWED_MECHANISMS and (names := _mechanisms(value)):
        return names
    if kind in _TEXTS:
        text = value.decode(errors="replace")
        if text.isprintable() and text.encode() == value:
            return text
    return {"hex": value.hex()}


def _mechanisms(value: bytes) -> list[str]:
    kinds = [int.from_bytes(value[at : at + _WORD], "little") for at in range(0, len(value), _WORD)]
    known = set(CKM)
    return [f"CKM_{CKM(kind).name}" for kind in kinds] if set(kinds) <= known else []

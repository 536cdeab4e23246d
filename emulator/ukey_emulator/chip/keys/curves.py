"""How CKA_EC_PARAMS names a curve: by object identifier or by name (PKCS#11 3.2 §6.3.3)."""

from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKR

_OBJECT_IDENTIFIER = 0x06
_OCTET_STRING = 0x04
_PRINTABLE_STRING = 0x13
_LONG_LENGTH = 0x80
_ARC_BITS = 7
_FIRST_ARC = 40


def identified(dotted: str) -> bytes:
    """Give the choice oId: the DER of an object identifier."""
    first, second, *arcs = map(int, dotted.split("."))
    body = b"".join(_arc(number) for number in (_FIRST_ARC * first + second, *arcs))
    return bytes([_OBJECT_IDENTIFIER, len(body)]) + body


def named(name: str) -> bytes:
    """Give the choice curveName: the DER of a PrintableString."""
    return bytes([_PRINTABLE_STRING, len(name)]) + name.encode()


def unknown(parameters: bytes) -> Refusal:
    """Make the refusal for a curve that the key does not have.

    CKR_CURVE_NOT_SUPPORTED; CKR_DOMAIN_PARAMS_INVALID for what is neither of the two choices.
    """
    choice = parameters[:1] in (bytes([_OBJECT_IDENTIFIER]), bytes([_PRINTABLE_STRING]))
    if choice and parameters[1:2] == bytes([max(0, len(parameters) - 2)]):
        return Refusal(CKR.CURVE_NOT_SUPPORTED, f"curve {parameters.hex()}")
    return Refusal(CKR.DOMAIN_PARAMS_INVALID, "neither an object identifier nor a curve's name")


def octet_string(value: bytes) -> bytes:
    """Give the DER of an OCTET STRING of less than 256 bytes."""
    length = len(value)
    head = bytes([length]) if length < _LONG_LENGTH else bytes([_LONG_LENGTH | 1, length])
    return bytes([_OCTET_STRING]) + head + value


def bare_of(length: int, value: bytes) -> bytes:
    """Take a point of known length, as it is or out of its OCTET STRING or BIT STRING.

    The standard wants it as it is; earlier versions of it, and programs, have the other two. Only
    the length tells them apart: any point may begin like a string.
    """
    if len(value) == length:
        return value
    for head in (bytes([_OCTET_STRING, length]), bytes([0x03, length + 1, 0])):
        if value.startswith(head) and len(value) == len(head) + length:
            return value[len(head) :]
    raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, f"a point on this curve has {length} bytes")


def _arc(number: int) -> bytes:
    digits = [number & (1 << _ARC_BITS) - 1]
    while number := number >> _ARC_BITS:
        digits.append(number & (1 << _ARC_BITS) - 1 | 1 << _ARC_BITS)
    return bytes(reversed(digits))

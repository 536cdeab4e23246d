"""How the value of an attribute looks: its kind, and the check of a value against it."""

import re
import struct
from collections.abc import Callable, Iterable
from enum import Enum

from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKR, CKT

ULONG = struct.Struct("<Q")
TRUE = b"\x01"
FALSE = b"\x00"
UNAVAILABLE = 0xFFFFFFFFFFFFFFFF


class Kind(Enum):
    """The kinds of attribute value in the standard's tables (PKCS#11 3.2 §4.1).

    `fits` tells whether a value is of the kind.
    """

    fits: Callable[[bytes], bool]

    BOOL = "CK_BBOOL"
    NUMBER = "CK_ULONG"
    BYTES = "byte array"
    BIG_INTEGER = "big integer"
    TEXT = "RFC 2279 string"
    DATE = "CK_DATE"
    CATEGORY = "CK_CERTIFICATE_CATEGORY"
    DOMAIN = "CK_JAVA_MIDP_SECURITY_DOMAIN"
    TRUST = "CK_TRUST"
    NUMBERS = "array of CK_ULONG"
    TEMPLATE = "array of CK_ATTRIBUTE"


def number(value: int) -> bytes:
    """Give a CK_ULONG as the eight bytes that an attribute holds."""
    return ULONG.pack(value)


def as_number(value: bytes) -> int:
    """Read a CK_ULONG attribute; CKR_ATTRIBUTE_VALUE_INVALID if it is none."""
    if len(value) != ULONG.size:
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "a CK_ULONG has 8 bytes")
    return int(ULONG.unpack(value)[0])


def as_integer(value: bytes) -> int:
    """Read a big integer, most significant byte first."""
    return int.from_bytes(value, "big")


def integer(value: int) -> bytes:
    """Give a big integer in as few bytes as hold it."""
    return value.to_bytes((value.bit_length() + 7) // 8 or 1, "big")


def boolean(value: object) -> bytes:
    """Give a CK_BBOOL attribute."""
    return TRUE if value else FALSE


_HEAD = struct.Struct("<QI")


def pack_template(template: Iterable[tuple[int, bytes]]) -> bytes:
    """Write attributes one after the other: type and length, then the value."""
    parts: list[bytes] = []
    for attribute, value in template:
        parts += (_HEAD.pack(attribute, len(value)), value)
    return b"".join(parts)


def unpack_template(data: bytes) -> list[tuple[int, bytes]]:
    """Read what `pack_template` wrote."""
    template = []
    at = 0
    while at < len(data):
        attribute, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        template.append((attribute, data[at : at + length]))
        at += length
    return template


# Nothing, or a year from 1900, a month and a day (PKCS#11 3.2 §3.5, CK_DATE).
_DATE = re.compile(rb"((19|[2-9][0-9])[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01]))?")


def _is_number_to(most: int) -> Callable[[bytes], bool]:
    return lambda value: len(value) == ULONG.size and as_number(value) <= most


_FITS: dict[Kind, Callable[[bytes], bool]] = {
    Kind.BOOL: lambda value: value in (TRUE, FALSE),
    Kind.NUMBER: lambda value: len(value) == ULONG.size,
    Kind.BYTES: lambda _: True,
    Kind.BIG_INTEGER: lambda _: True,
    # Programs label their keys with random bytes, and no token minds.
    Kind.TEXT: lambda _: True,
    Kind.DATE: lambda value: _DATE.fullmatch(value) is not None,
    Kind.CATEGORY: _is_number_to(3),
    Kind.DOMAIN: _is_number_to(3),
    Kind.TRUST: _is_number_to(max(CKT)),
    Kind.NUMBERS: lambda value: len(value) % ULONG.size == 0,
    Kind.TEMPLATE: lambda _: True,
}
for _kind, _fits in _FITS.items():
    _kind.fits = _fits

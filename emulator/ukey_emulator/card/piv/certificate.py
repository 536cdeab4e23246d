"""Certificates as data objects hold them (NIST SP 800-73-5 Part 1, Appendix A)."""

import zlib

from ukey_emulator.card import tlv
from ukey_emulator.card.status import CardRefusal

_VALUE, _INFO, _MSCUID, _CHECK = 0x70, 0x71, 0x72, 0xFE
_PLAIN, _COMPRESSED = b"\x00", b"\x01"
_LARGEST = 0x10000
_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS


def pack(value: bytes) -> bytes:
    """Give the content of the data object for a certificate."""
    return tlv.pack(_VALUE, value) + tlv.pack(_INFO, _PLAIN) + tlv.pack(_CHECK, b"")


def unpack(content: bytes) -> bytes | None:
    """Give the certificate that a data object holds, None if it holds another thing."""
    try:
        parts = tlv.members(content)
    except CardRefusal:
        return None
    info = parts.get(_INFO, _PLAIN)
    if _VALUE not in parts or parts.keys() - {_VALUE, _INFO, _MSCUID, _CHECK}:
        return None
    if info == _PLAIN:
        return parts[_VALUE]
    return _inflated(parts[_VALUE]) if info == _COMPRESSED else None


def _inflated(data: bytes) -> bytes | None:
    inflater = zlib.decompressobj(_ZLIB_OR_GZIP)
    try:
        value = inflater.decompress(data, _LARGEST)
    except zlib.error:
        return None
    return value if inflater.eof else None

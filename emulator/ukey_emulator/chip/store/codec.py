"""Attributes as the bytes of a row: type and length, then the value."""

import struct

_HEAD = struct.Struct("<QI")


def encode(attributes: dict[int, bytes]) -> bytes:
    """Write attributes one after the other."""
    return b"".join(
        part
        for attribute, value in attributes.items()
        for part in (_HEAD.pack(attribute, len(value)), value)
    )


def decode(blob: bytes) -> dict[int, bytes]:
    """Read what `encode` wrote."""
    attributes: dict[int, bytes] = {}
    at = 0
    while at < len(blob):
        attribute, length = _HEAD.unpack_from(blob, at)
        at += _HEAD.size
        attributes[attribute] = blob[at : at + length]
        at += length
    return attributes

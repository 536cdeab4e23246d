"""BER-TLV as PIV cards use it (ISO/IEC 7816-4 §5.2.2)."""

from collections.abc import Iterator
from typing import Final

_LONG_TAG: Final = 0x1F
_MORE: Final = 0x80
_SHORT_LENGTH: Final = 0x80
_LONGEST_LENGTH: Final = 4  # bytes of a length


class TlvError(ValueError):
    """What came is no BER-TLV."""


def encode(tag: int, value: bytes = b"") -> bytes:
    """Encode one data object; the tag as its bytes are written (0x5C, 0x7F49)."""
    head = tag.to_bytes((tag.bit_length() + 7) // 8 or 1, "big")
    length = len(value)
    if length < _SHORT_LENGTH:
        return head + bytes([length]) + value
    size = (length.bit_length() + 7) // 8
    return head + bytes([_SHORT_LENGTH | size]) + length.to_bytes(size, "big") + value


def parse(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give tag and value of each data object, in order; TlvError at the first fault."""
    place = 0
    while place < len(data):
        tag, place = _tag(data, place)
        length, place = _length(data, place)
        if place + length > len(data):
            raise TlvError("a value breaks off")
        yield tag, data[place : place + length]
        place += length


def find(data: bytes, tag: int) -> bytes | None:
    """Give the value of the first data object with that tag, None if there is none."""
    return next((value for found, value in parse(data) if found == tag), None)


def unwrap(data: bytes, tag: int) -> bytes:
    """Give the value of the data object that all of this must begin with."""
    for found, value in parse(data):
        if found == tag:
            return value
        break
    raise TlvError(f"tag {tag:X} is not there")


def _tag(data: bytes, place: int) -> tuple[int, int]:
    tag = data[place]
    place += 1
    if tag & _LONG_TAG != _LONG_TAG:
        return tag, place
    while True:
        if place >= len(data):
            raise TlvError("a tag breaks off")
        byte = data[place]
        place += 1
        tag = tag << 8 | byte
        if not byte & _MORE:
            return tag, place


def _length(data: bytes, place: int) -> tuple[int, int]:
    if place >= len(data):
        raise TlvError("a length is missing")
    first = data[place]
    place += 1
    if first < _SHORT_LENGTH:
        return first, place
    size = first & ~_SHORT_LENGTH
    if not 0 < size <= _LONGEST_LENGTH or place + size > len(data):
        raise TlvError("a length is wrong")
    return int.from_bytes(data[place : place + size], "big"), place + size

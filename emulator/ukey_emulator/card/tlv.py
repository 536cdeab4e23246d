"""BER-TLV data objects, as commands and answers carry them (ISO/IEC 7816-4:2020 §6.3)."""

from collections.abc import Iterator

from .status import SW, CardRefusal

_MORE_TAG = 0x1F  # in the first byte: the number of the tag stands in those that follow
_MORE = 0x80
LONGEST_TAG = 3
_LONGEST_LENGTH = 3  # bytes after the first: no data object of a card has 16 MB


def pack(tag: int, value: bytes) -> bytes:
    """Write one data object, its length in as few bytes as can be."""
    size = len(value)
    if size < _MORE:
        length = bytes([size])
    else:
        count = (size.bit_length() + 7) // 8
        length = bytes([_MORE | count]) + size.to_bytes(count)
    return name(tag) + length + value


def name(tag: int) -> bytes:
    """Write a tag alone, as in a tag list."""
    return tag.to_bytes((tag.bit_length() + 7) // 8 or 1)


def read(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give tags and values of the data objects that stand one after another.

    CardRefusal with 6A80 where there is none whole.
    """
    at = 0
    while at < len(data):
        tag, at = _tag(data, at)
        length, at = _length(data, at)
        if length > len(data) - at:
            raise CardRefusal(SW.INCORRECT_DATA, "a data object is cut short")
        yield tag, data[at : at + length]
        at += length


def members(data: bytes) -> dict[int, bytes]:
    """Give the data objects of a template by tag; 6A80 also if one is there twice."""
    found: dict[int, bytes] = {}
    for tag, value in read(data):
        if tag in found:
            raise CardRefusal(SW.INCORRECT_DATA, f"{tag:02X} twice")
        found[tag] = value
    return found


def only(tag: int, data: bytes) -> bytes:
    """Give the value of the one data object that is all of `data`; 6A80 if it is not that."""
    found = members(data)
    if found.keys() != {tag}:
        raise CardRefusal(SW.INCORRECT_DATA, f"not {tag:02X} alone")
    return found[tag]


def _tag(data: bytes, at: int) -> tuple[int, int]:
    end = at + 1
    if data[at] & _MORE_TAG == _MORE_TAG:
        while end < len(data) and data[end] & _MORE:
            end += 1
        end += 1
    if end > len(data) or end - at > LONGEST_TAG:
        raise CardRefusal(SW.INCORRECT_DATA, "a tag is cut short or too long")
    return int.from_bytes(data[at:end]), end


def _length(data: bytes, at: int) -> tuple[int, int]:
    if at == len(data):
        raise CardRefusal(SW.INCORRECT_DATA, "a data object has no length")
    first, at = data[at], at + 1
    if not first & _MORE:
        return first, at
    count = first & ~_MORE
    if not 1 <= count <= min(_LONGEST_LENGTH, len(data) - at):
        raise CardRefusal(SW.INCORRECT_DATA, "a length is cut short, endless or too long")
    return int.from_bytes(data[at : at + count]), at + count

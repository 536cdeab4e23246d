"""BER-TLV data objects (ISO/IEC 7816-4:2020 §6), as PIV's templates are written in them."""

_LONG_TAG = 0x1F
_MORE = 0x80


def tlv(tag: int, value: bytes) -> bytes:
    """Return a data object; the length in as few bytes as it needs."""
    name = tag.to_bytes((tag.bit_length() + 7) // 8 or 1, "big")
    size = len(value)
    if size < _MORE:
        return name + bytes([size]) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return name + bytes([_MORE | len(length)]) + length + value


def objects(content: bytes) -> list[tuple[int, bytes]]:
    """Return the data objects that stand one after the other; ValueError when they do not."""
    found = []
    at = 0
    while at < len(content):
        end = at + 1
        if content[at] & _LONG_TAG == _LONG_TAG:
            while _byte(content, end) & _MORE:
                end += 1
            end += 1
        tag = int.from_bytes(content[at:end], "big")
        size, begin = _byte(content, end), end + 1
        if size & _MORE:
            count = size & ~_MORE
            size, begin = int.from_bytes(content[begin : begin + count], "big"), begin + count
        if begin + size > len(content):
            raise ValueError(f"the object {tag:X} is cut off")
        found.append((tag, content[begin : begin + size]))
        at = begin + size
    return found


def value(content: bytes, *path: int) -> bytes | None:
    """Return the value that is reached by those tags, one inside the other; None without one."""
    for tag in path:
        try:
            content = dict(reversed(objects(content)))[tag]
        except (KeyError, ValueError):
            return None
    return content


def _byte(content: bytes, at: int) -> int:
    if at >= len(content):
        raise ValueError("a data object is cut off")
    return content[at]

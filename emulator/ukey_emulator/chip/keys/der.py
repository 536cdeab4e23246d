"""The little DER that lattice keys need; the library knows only some of it (RFC 5958, 5280)."""

INTEGER, OCTET_STRING, SEQUENCE, BIT_STRING = 0x02, 0x04, 0x30, 0x03
SEED = 0x80  # [0] IMPLICIT OCTET STRING (RFC 9881 §6, RFC 9935 §6)
_LONG = 0x80


def element(tag: int, *contents: bytes) -> bytes:
    """Write one element."""
    content = b"".join(contents)
    length = len(content)
    if length < _LONG:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, _LONG | size]) + length.to_bytes(size, "big") + content


def elements(data: bytes) -> list[tuple[int, bytes]]:
    """Read elements that stand one behind the other; ValueError if they are none."""
    found = []
    while data:
        if len(data) < 2:  # noqa: PLR2004 - a tag and a length
            raise ValueError("an element is cut off")
        head, length = 2, data[1]
        if length & _LONG:
            head += length & ~_LONG
            length = int.from_bytes(data[2:head], "big")
        if len(data) < head + length:
            raise ValueError("an element is cut off")
        found.append((data[0], data[head : head + length]))
        data = data[head + length :]
    return found


def public_key_info(algorithm: bytes, key: bytes) -> bytes:
    """Give a SubjectPublicKeyInfo; `algorithm` is the DER of an object identifier."""
    bits = element(BIT_STRING, b"\0", key)
    return element(SEQUENCE, element(SEQUENCE, algorithm), bits)


def private_key_info(algorithm: bytes, key: bytes) -> bytes:
    """Give a PrivateKeyInfo (RFC 5958 §2) without attributes."""
    version = element(INTEGER, b"\0")
    return element(SEQUENCE, version, element(SEQUENCE, algorithm), element(OCTET_STRING, key))


def read_private_key_info(data: bytes) -> tuple[bytes, bytes]:
    """Read a PrivateKeyInfo: give the algorithm's parameters in DER, and the key; ValueError."""
    ((tag, content),) = elements(data)
    parts = elements(content)
    if tag != SEQUENCE or [kind for kind, _ in parts[:3]] != [INTEGER, SEQUENCE, OCTET_STRING]:
        raise ValueError("no PrivateKeyInfo")
    return parts[1][1], parts[2][1]

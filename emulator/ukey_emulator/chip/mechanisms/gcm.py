"""GCM with a nonce of any length (NIST SP 800-38D §7), where the library takes 8 to 128 bytes.

The library still does the work: its GCM hashes, and its CTR encrypts.
"""

from cryptography.hazmat.primitives.ciphers import modes

from ukey_emulator.chip.keys import Material

from .aes import AES

_BLOCK = 16
_USUAL_NONCE = bytes(12)
_FIRST_COUNT = bytes([0, 0, 0, 1])
_COUNTS = 1 << 32
_REDUCTION = 0xE1 << 120


class AnyNonce:
    """One message under a nonce of any length, to be encrypted or, if not `sealing`, decrypted."""

    def __init__(self, key: Material, nonce: bytes, *, sealing: bool) -> None:
        self._key = key
        self._sealing = sealing
        first = _Hash(key)
        first.update(nonce)
        start = first.finish(8 * len(nonce))
        self._mask = _encrypted(key, start)
        self._prefix = start[:-4]
        count = int.from_bytes(start[-4:], "big")
        self._begin((count + 1) % _COUNTS)
        self._hash = _Hash(key)
        self._extra_length = 0
        self._length = 0

    def add(self, extra: bytes) -> None:
        """Take a part of the additional data, all of which comes before the message."""
        self._hash.update(extra)
        self._extra_length += len(extra)

    def update(self, data: bytes) -> bytes:
        """Take a part of the message, give as much."""
        fits = data[: self._left]
        done = self._stream.update(fits)
        self._left -= len(fits)
        if len(fits) < len(data):
            # Only the last four bytes count, and begin again at 0.
            rest = data[len(fits) :]
            self._begin(0)
            done += self._stream.update(rest)
            self._left -= len(rest)
        if not self._length:
            self._hash.fill()
        self._hash.update(done if self._sealing else data)
        self._length += len(data)
        return done

    def tag(self) -> bytes:
        """Give the whole tag."""
        lengths = 8 * self._extra_length << 64 | 8 * self._length
        return _xor(self._hash.finish(lengths), self._mask)

    def _begin(self, count: int) -> None:
        block = self._prefix + count.to_bytes(4, "big")
        self._stream = AES.cipher(self._key, modes.CTR(block)).encryptor()
        self._left = _BLOCK * (_COUNTS - count)


class _Hash:
    """GHASH, as the library computes it of a message that is nothing but additional data."""

    def __init__(self, key: Material) -> None:
        self._context = AES.cipher(key, modes.GCM(_USUAL_NONCE)).encryptor()
        self._mask = _encrypted(key, _USUAL_NONCE + _FIRST_COUNT)
        self._subkey = int.from_bytes(_encrypted(key, bytes(_BLOCK)), "big")
        self._length = 0

    def update(self, data: bytes) -> None:
        """Take a part."""
        self._context.authenticate_additional_data(data)
        self._length += len(data)

    def fill(self) -> None:
        """Fill the last block with zeros."""
        self.update(bytes(-self._length % _BLOCK))

    def finish(self, last: int) -> bytes:
        """Give the hash with `last` as the last block, in place of the library's own lengths."""
        self._context.finalize()
        own = 8 * self._length << 64
        difference = _product(own ^ last, self._subkey).to_bytes(_BLOCK, "big")
        return _xor(_xor(self._context.tag, self._mask), difference)


def _product(one: int, other: int) -> int:
    """Multiply in GF(2^128), whose first bit is the leftmost (SP 800-38D §6.3)."""
    product = 0
    for place in reversed(range(8 * _BLOCK)):
        if one >> place & 1:
            product ^= other
        other = other >> 1 ^ (_REDUCTION if other & 1 else 0)
    return product


def _encrypted(key: Material, block: bytes) -> bytes:
    return AES.cipher(key, modes.ECB()).encryptor().update(block)  # noqa: S305 - one block


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))

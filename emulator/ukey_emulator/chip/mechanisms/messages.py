"""How the message of a signature is taken in: hashed as it comes, or gathered whole."""

from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

# A digest's length → what names it to the library, which takes digests of these lengths only.
PREHASHED = {
    chosen.digest_size: Prehashed(chosen)
    for chosen in (
        hashes.SHA1(),  # noqa: S303 - only names the length
        hashes.SHA224(),
        hashes.SHA256(),
        hashes.SHA384(),
        hashes.SHA512(),
    )
}


class Message(Protocol):
    """A message that is taken in part by part."""

    def update(self, data: bytes) -> None:
        """Take a part."""

    def finish(self) -> bytes:
        """Give what is to be signed."""


class Gathered:
    """A message that is signed as it is."""

    def __init__(self) -> None:
        self._data = b""

    def update(self, data: bytes) -> None:
        """Take a part."""
        self._data = self._data + data if self._data else data

    def finish(self) -> bytes:
        """Give the whole message."""
        return self._data


class Hashed:
    """A message of which the digest is signed."""

    def __init__(self, algorithm: hashes.HashAlgorithm) -> None:
        self._context = hashes.Hash(algorithm)
        self.update = self._context.update

    def finish(self) -> bytes:
        """Give the digest."""
        return self._context.finalize()


def message(algorithm: hashes.HashAlgorithm | None) -> Message:
    """Choose how the message is taken in: hashed with `algorithm`, or gathered if there is none."""
    return Gathered() if algorithm is None else Hashed(algorithm)

"""Ciphers under way: streams, whole blocks, blocks with padding, and what is ciphered at once."""

from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers import CipherContext

from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKR

from .messages import Gathered


class Stream:
    """A cipher that gives as many bytes as it takes."""

    exact = True

    def __init__(self, context: CipherContext) -> None:
        self._context = context

    def room(self, length: int) -> int:
        """Give the same length: as much as comes in."""
        return length

    def update(self, data: bytes) -> bytes:
        """Take a part, give as much."""
        return self._context.update(data)

    def last(self, length: int = 0) -> int:
        """Give the same length: nothing is held back."""
        return length

    def finish(self) -> bytes:
        """End it."""
        return self._context.finalize()


class Blocks:
    """A cipher of whole blocks without padding; what is left over at the end is an error."""

    exact = True

    def __init__(self, context: CipherContext, block: int, error: CKR) -> None:
        self._context = context
        self._block = block
        self._error = error
        self._held = 0

    def room(self, length: int) -> int:
        """Count all whole blocks."""
        return (self._held + length) // self._block * self._block

    def update(self, data: bytes) -> bytes:
        """Take a part, give the blocks that are full."""
        self._held = (self._held + len(data)) % self._block
        return self._context.update(data)

    def last(self, length: int = 0) -> int:
        """Count all whole blocks."""
        return self.room(length)

    def finish(self) -> bytes:
        """End it; a block that is not full is refused."""
        if self._held:
            raise Refusal(self._error, f"{self._held} bytes more than whole blocks")
        return self._context.finalize()


class Padding(Blocks):
    """An encryption that fills the last block as PKCS#7 does."""

    def __init__(self, context: CipherContext, block: int) -> None:
        super().__init__(context, block, CKR.DATA_LEN_RANGE)

    def last(self, length: int = 0) -> int:
        """Count one block more than the whole ones."""
        return self.room(length) + self._block

    def finish(self) -> bytes:
        """Give the padded last block."""
        fill = self._block - self._held
        return self._context.update(bytes([fill]) * fill) + self._context.finalize()


class Unpadding:
    """A decryption that takes the padding off; it holds the last block back to the end."""

    exact = False

    def __init__(self, context: CipherContext, block: int) -> None:
        self._context = context
        self._block = block
        self._length = 0
        self._held = b""

    def room(self, length: int) -> int:
        """Count all whole blocks but the last."""
        return max(0, (self._length + length - 1) // self._block * self._block - self._given())

    def update(self, data: bytes) -> bytes:
        """Take a part, give all whole blocks but the last."""
        self._length += len(data)
        clear = self._held + self._context.update(data)
        keep = self._block if self._length % self._block == 0 else 0
        cut = max(0, len(clear) - keep)
        self._held = clear[cut:]
        return clear[:cut]

    def last(self, length: int = 0) -> int:
        """Count what came in and was not given out yet."""
        return self._length + length - self._given()

    def finish(self) -> bytes:
        """Give the rest without its padding; CKR_ENCRYPTED_DATA_INVALID if that is none."""
        if self._length % self._block or not self._length:
            raise Refusal(CKR.ENCRYPTED_DATA_LEN_RANGE, "a ciphertext has whole blocks")
        fill = self._held[-1]
        if not 1 <= fill <= self._block or self._held[-fill:] != bytes([fill]) * fill:
            raise Refusal(CKR.ENCRYPTED_DATA_INVALID, "the padding is none")
        return self._held[:-fill]

    def _given(self) -> int:
        whole = self._length // self._block * self._block
        return whole - len(self._held)


class Once:
    """A cipher that works on the whole input at its end; `most` bounds what comes of a length."""

    exact = False

    def __init__(self, work: Callable[[bytes], bytes], most: Callable[[int], int]) -> None:
        self._work = work
        self._most = most
        self._message = Gathered()
        self._length = 0

    def room(self, length: int) -> int:
        """Give 0: nothing comes before the end."""
        return 0 * length

    def update(self, data: bytes) -> bytes:
        """Take a part."""
        self._message.update(data)
        self._length += len(data)
        return b""

    def last(self, length: int = 0) -> int:
        """Give the bound for all that has come."""
        return self._most(self._length + length)

    def finish(self) -> bytes:
        """Give the whole output."""
        return self._work(self._message.finish())

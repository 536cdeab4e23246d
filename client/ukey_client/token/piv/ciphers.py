"""The block ciphers of the management key (SP 800-78-4, table 6-2)."""

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

TRIPLE_DES, AES_128, AES_192, AES_256 = 0x03, 0x08, 0x0A, 0x0C
_KEY_BYTES: Final = {TRIPLE_DES: 24, AES_128: 16, AES_192: 24, AES_256: 32}


@dataclass(frozen=True)
class BlockCipher:
    """One block at a time, as GENERAL AUTHENTICATE has it."""

    algorithm: BlockCipherAlgorithm

    @property
    def block(self) -> int:
        """Bytes of a block."""
        return self.algorithm.block_size // 8

    def encrypt(self, block: bytes) -> bytes:
        """Encrypt one block."""
        return self._cipher.encryptor().update(block)

    def decrypt(self, block: bytes) -> bytes:
        """Decrypt one block."""
        return self._cipher.decryptor().update(block)

    @property
    def _cipher(self) -> Cipher[modes.ECB]:
        # A challenge is one block: there is no mode to choose (SP 800-73-4 Part 2 §3.2.4).
        return Cipher(self.algorithm, modes.ECB())  # noqa: S305


def block_cipher(algorithm: int, key: bytes) -> BlockCipher | None:
    """Give the cipher of a PIV algorithm identifier; None if the key does not fit it."""
    if _KEY_BYTES.get(algorithm) != len(key):
        return None
    return BlockCipher(TripleDES(key) if algorithm == TRIPLE_DES else AES(key))

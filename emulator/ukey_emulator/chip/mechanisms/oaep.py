"""EME-OAEP with any two hashes (RFC 8017 §7.1), where the library knows but some of them."""

import hmac
import secrets

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from ukey_emulator.chip.keys import rsa as keys
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKR


class OaepPadding:
    """The padding of one block, by a hash, the hash of its mask generator, and a label."""

    def __init__(
        self, hashed: hashes.HashAlgorithm, mask: hashes.HashAlgorithm, label: bytes
    ) -> None:
        self._mask_hash = mask
        self._label = _digest(hashed, label)

    def encrypt(self, key: rsa.RSAPublicKey, data: bytes) -> bytes:
        """Encrypt data that the padding has room for."""
        length = (key.key_size + 7) // 8
        size = len(self._label)
        block = self._label + bytes(length - len(data) - 2 * size - 2) + b"\1" + data
        seed = secrets.token_bytes(size)
        masked = self._masked(block, seed)
        number = int.from_bytes(self._masked(seed, masked) + masked, "big")
        numbers = key.public_numbers()
        return pow(number, numbers.e, numbers.n).to_bytes(length, "big")

    def decrypt(self, key: rsa.RSAPrivateKey, data: bytes) -> bytes:
        """Decrypt a block as long as the modulus; CKR_ENCRYPTED_DATA_INVALID if it is none."""
        length = (key.key_size + 7) // 8
        size = len(self._label)
        number = int.from_bytes(data, "big")
        if number >= key.public_key().public_numbers().n or length < 2 * size + 2:
            raise Refusal(CKR.ENCRYPTED_DATA_INVALID)
        whole = keys.private_power(key, number).to_bytes(length, "big")
        masked = whole[1 + size :]
        block = self._masked(masked, self._masked(whole[1 : 1 + size], masked))
        padding, one, message = block[size:].partition(b"\1")
        sound = hmac.compare_digest(block[:size], self._label) and not any(padding)
        if whole[0] or not one or not sound:
            raise Refusal(CKR.ENCRYPTED_DATA_INVALID)
        return message

    def _masked(self, data: bytes, seed: bytes) -> bytes:
        """Lay the mask over data that MGF1 makes of the seed (RFC 8017 §B.2.1)."""
        size = self._mask_hash.digest_size
        rounds = -(-len(data) // size)
        mask = b"".join(
            _digest(self._mask_hash, seed + count.to_bytes(4, "big")) for count in range(rounds)
        )
        return bytes(one ^ other for one, other in zip(data, mask, strict=False))


def _digest(chosen: hashes.HashAlgorithm, data: bytes) -> bytes:
    context = hashes.Hash(chosen)
    context.update(data)
    return context.finalize()

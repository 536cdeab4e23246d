"""Secret keys as attributes (PKCS#11 3.2 §4.10, §6.11)."""

import secrets

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ukey_emulator.chip.objects.kinds import as_number, number
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKK, CKR

AES_SIZES = (16, 24, 32)
MAX_GENERIC = 512
_CHECK_LENGTH = 3


def generate(key_type: int, length: int) -> bytes:
    """Draw a key of `length` bytes; CKR_ATTRIBUTE_VALUE_INVALID for an impossible length."""
    _refuse_length(key_type, length)
    return secrets.token_bytes(length)


def complete(attributes: dict[int, bytes]) -> None:
    """Check a key's value and add its length and check value."""
    key_type = as_number(attributes[CKA.KEY_TYPE])
    value = attributes[CKA.VALUE]
    _refuse_length(key_type, len(value))
    attributes[CKA.VALUE_LEN] = number(len(value))
    claimed = attributes.get(CKA.CHECK_VALUE)
    if claimed == b"":  # An empty check value says that none is wanted.
        return
    computed = check_value(key_type, value)
    if claimed not in (None, computed):
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "CKA_CHECK_VALUE is not this key's")
    attributes[CKA.CHECK_VALUE] = computed


def check_value(key_type: int, value: bytes) -> bytes:
    """Compute the three bytes of CKA_CHECK_VALUE."""
    if key_type == CKK.AES:
        # The standard defines the check value as one block of zeros in ECB.
        block = Cipher(algorithms.AES(value), modes.ECB()).encryptor()  # noqa: S305
        return block.update(bytes(16))[:_CHECK_LENGTH]
    digest = hashes.Hash(hashes.SHA1())  # noqa: S303 - the standard names SHA-1
    digest.update(value)
    return digest.finalize()[:_CHECK_LENGTH]


def _refuse_length(key_type: int, length: int) -> None:
    fits = length in AES_SIZES if key_type == CKK.AES else 0 < length <= MAX_GENERIC
    if not fits:
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, f"no such key of {length} bytes")

"""Secret keys as attributes (PKCS#11 3.2 §4.10, §6.9, §6.10, §6.18)."""

import secrets
from collections.abc import Callable, Collection

from cryptography.hazmat.decrepit.ciphers.algorithms import SEED, Blowfish, Camellia, TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import (
    BlockCipherAlgorithm,
    Cipher,
    algorithms,
    modes,
)

from ukey_emulator.chip.objects.kinds import as_number, number
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKK, CKR

AES_SIZES = (16, 24, 32)
BLOWFISH_SIZES = range(4, 57)
MAX_GENERIC = 512
_CHECK_LENGTH = 3
_ANY = range(1, MAX_GENERIC + 1)
DES_TYPES = (CKK.DES, CKK.DES2, CKK.DES3)
HMAC_TYPES = (
    CKK.MD5_HMAC,
    CKK.SHA_1_HMAC,
    CKK.SHA224_HMAC,
    CKK.SHA256_HMAC,
    CKK.SHA384_HMAC,
    CKK.SHA512_HMAC,
    CKK.SHA512_224_HMAC,
    CKK.SHA512_256_HMAC,
    CKK.SHA3_224_HMAC,
    CKK.SHA3_256_HMAC,
    CKK.SHA3_384_HMAC,
    CKK.SHA3_512_HMAC,
)

# The lengths that a key of each type can have, in bytes.
_LENGTHS: dict[int, Collection[int]] = {
    CKK.AES: AES_SIZES,
    CKK.AES_XTS: (32, 64),
    CKK.DES: (8,),
    CKK.DES2: (16,),
    CKK.DES3: (24,),
    CKK.CAMELLIA: AES_SIZES,
    CKK.SEED: (16,),
    CKK.BLOWFISH: BLOWFISH_SIZES,
    CKK.CHACHA20: (32,),
    CKK.POLY1305: (32,),
    CKK.GENERIC_SECRET: _ANY,
    CKK.HKDF: _ANY,
    **dict.fromkeys(HMAC_TYPES, _ANY),
}
TYPES = tuple(_LENGTHS)

# Types whose tables have no CKA_VALUE_LEN.
_WITHOUT_LENGTH = (*DES_TYPES, CKK.SEED)

# Ciphers whose keys are checked by a block of zeros in ECB.
_CIPHERS: dict[int, Callable[[bytes], BlockCipherAlgorithm]] = {
    CKK.AES: algorithms.AES,
    CKK.DES: lambda value: TripleDES(triple(value)),
    CKK.DES2: lambda value: TripleDES(triple(value)),
    CKK.DES3: TripleDES,
    CKK.CAMELLIA: Camellia,
    CKK.SEED: SEED,
    CKK.BLOWFISH: Blowfish,
}


def fixed_length(key_type: int) -> int | None:
    """Give the bytes that every key of this type has, None if they may be several numbers."""
    lengths = _LENGTHS.get(key_type, ())
    return next(iter(lengths)) if len(lengths) == 1 else None


def fits(key_type: int, length: int) -> bool:
    """Tell whether a key of this type can have so many bytes."""
    return length in _LENGTHS.get(key_type, ())


def generate(key_type: int, length: int) -> bytes:
    """Draw a key of `length` bytes; CKR_ATTRIBUTE_VALUE_INVALID for an impossible length."""
    _refuse_length(key_type, length)
    value = secrets.token_bytes(length)
    return with_parity(value) if key_type in DES_TYPES else value


def with_parity(value: bytes) -> bytes:
    """Set the lowest bit of each byte so that it has an odd number of ones (FIPS 46-3)."""
    return bytes(byte & 0xFE | (byte >> 1).bit_count() % 2 ^ 1 for byte in value)


def complete(attributes: dict[int, bytes]) -> None:
    """Check a key's value and add its length and check value.

    CKR_ATTRIBUTE_VALUE_INVALID for an impossible length, a DES key with wrong parity (§6.18.3),
    or another key's check value.
    """
    key_type = as_number(attributes[CKA.KEY_TYPE])
    value = attributes[CKA.VALUE]
    _refuse_length(key_type, len(value))
    if key_type not in _WITHOUT_LENGTH:
        attributes[CKA.VALUE_LEN] = number(len(value))
    if key_type in DES_TYPES and value != with_parity(value):
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "a DES key has bytes of odd parity")
    claimed = attributes.get(CKA.CHECK_VALUE)
    if claimed == b"":  # An empty check value says that none is wanted.
        return
    computed = check_value(key_type, value)
    if claimed not in (None, computed):
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "CKA_CHECK_VALUE is not this key's")
    attributes[CKA.CHECK_VALUE] = computed


def load(attributes: dict[int, bytes]) -> bytes:
    """Give the value, which is all that a secret key is."""
    return attributes[CKA.VALUE]


def check_value(key_type: int, value: bytes) -> bytes:
    """Compute the three bytes of CKA_CHECK_VALUE (§4.10.2)."""
    if key_type in _CIPHERS:
        cipher = _CIPHERS[key_type](value)
        block = Cipher(cipher, modes.ECB()).encryptor()  # noqa: S305 - the standard defines it so
        return block.update(bytes(cipher.block_size // 8))[:_CHECK_LENGTH]
    digest = hashes.Hash(hashes.SHA1())  # noqa: S303 - the standard names SHA-1
    digest.update(value)
    return digest.finalize()[:_CHECK_LENGTH]


def triple(value: bytes) -> bytes:
    """Give the three parts of a DES key that has one, two or three: the first comes again."""
    return (value + 2 * value[:8])[:24]


def _refuse_length(key_type: int, length: int) -> None:
    if not fits(key_type, length):
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, f"no such key of {length} bytes")

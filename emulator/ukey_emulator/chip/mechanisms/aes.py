"""AES: ECB, CBC, CTR and GCM, and key generation (PKCS#11 3.2 §6.11-§6.13)."""

import struct
from typing import ClassVar, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import (
    AEADDecryptionContext,
    AEADEncryptionContext,
    Cipher,
    CipherContext,
    algorithms,
    modes,
)

from ukey_emulator.chip.keys import Material, secret
from ukey_emulator.chip.objects.kinds import as_number
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKF, CKK, CKM, CKR

from .base import Ciphering, Mechanism, Parameter, flat_parameter, no_parameter

BLOCK = 16
_CTR_PARAMETERS = struct.Struct("<Q16s")
_GCM_MIN_NONCE = 8
_GCM_MAX_NONCE = 128
_GCM_TAGS = (32, 64, 96, 104, 112, 120, 128)

Mode = TypeVar("Mode", bound=modes.Mode)


class Stream:
    """A cipher that gives as many bytes as it takes."""

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

    def __init__(self, context: CipherContext, error: CKR) -> None:
        self._context = context
        self._error = error
        self._held = 0

    def room(self, length: int) -> int:
        """Count all whole blocks."""
        return (self._held + length) // BLOCK * BLOCK

    def update(self, data: bytes) -> bytes:
        """Take a part, give the blocks that are full."""
        self._held = (self._held + len(data)) % BLOCK
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

    def __init__(self, context: CipherContext) -> None:
        super().__init__(context, CKR.DATA_LEN_RANGE)

    def last(self, length: int = 0) -> int:
        """Count one block more than the whole ones."""
        return self.room(length) + BLOCK

    def finish(self) -> bytes:
        """Give the padded last block."""
        fill = BLOCK - self._held
        return self._context.update(bytes([fill]) * fill) + self._context.finalize()


class Unpadding:
    """A decryption that takes the padding off; it holds the last block back to the end."""

    def __init__(self, context: CipherContext) -> None:
        self._context = context
        self._length = 0
        self._held = b""

    def room(self, length: int) -> int:
        """Count all whole blocks but the last."""
        return max(0, (self._length + length - 1) // BLOCK * BLOCK - self._given())

    def update(self, data: bytes) -> bytes:
        """Take a part, give all whole blocks but the last."""
        self._length += len(data)
        clear = self._held + self._context.update(data)
        keep = BLOCK if self._length % BLOCK == 0 else 0
        cut = max(0, len(clear) - keep)
        self._held = clear[cut:]
        return clear[:cut]

    def last(self, length: int = 0) -> int:
        """Count what came in and was not given out yet."""
        return self._length + length - self._given()

    def finish(self) -> bytes:
        """Give the rest without its padding; CKR_ENCRYPTED_DATA_INVALID if that is none."""
        if self._length % BLOCK or not self._length:
            raise Refusal(CKR.ENCRYPTED_DATA_LEN_RANGE, "a ciphertext has whole blocks")
        fill = self._held[-1]
        if not 1 <= fill <= BLOCK or self._held[-fill:] != bytes([fill]) * fill:
            raise Refusal(CKR.ENCRYPTED_DATA_INVALID, "the padding is none")
        return self._held[:-fill]

    def _given(self) -> int:
        whole = self._length // BLOCK * BLOCK
        return whole - len(self._held)


class GcmEncryption:
    """A GCM encryption under way; the tag follows the ciphertext."""

    def __init__(self, context: AEADEncryptionContext, tag_length: int) -> None:
        self._context = context
        self._tag_length = tag_length

    def room(self, length: int) -> int:
        """Give the same length: as much as comes in."""
        return length

    def update(self, data: bytes) -> bytes:
        """Take a part, give as much."""
        return self._context.update(data)

    def last(self, length: int = 0) -> int:
        """Add the tag."""
        return length + self._tag_length

    def finish(self) -> bytes:
        """Give the tag."""
        return self._context.finalize() + self._context.tag[: self._tag_length]


class GcmDecryption:
    """A GCM decryption under way; nothing is given before the tag has been judged."""

    def __init__(self, context: AEADDecryptionContext, tag_length: int) -> None:
        self._context = context
        self._tag_length = tag_length
        self._data = b""

    def room(self, length: int) -> int:
        """Give 0: nothing comes before the end."""
        return 0 * length

    def update(self, data: bytes) -> bytes:
        """Take a part of ciphertext and tag."""
        self._data += data
        return b""

    def last(self, length: int = 0) -> int:
        """Count all but the tag."""
        return max(0, len(self._data) + length - self._tag_length)

    def finish(self) -> bytes:
        """Give the plaintext; CKR_AEAD_DECRYPT_FAILED if the tag is another's."""
        cut = len(self._data) - self._tag_length
        if cut < 0:
            raise Refusal(CKR.ENCRYPTED_DATA_LEN_RANGE, "shorter than its tag")
        clear = self._context.update(self._data[:cut])
        try:
            return clear + self._context.finalize_with_tag(self._data[cut:])
        except InvalidTag:
            raise Refusal(CKR.AEAD_DECRYPT_FAILED) from None


class _Aes(Mechanism):
    flags = CKF.ENCRYPT | CKF.DECRYPT | CKF.WRAP | CKF.UNWRAP
    key_types: ClassVar[tuple[int, ...]] = (CKK.AES,)

    def __init__(self, kind: CKM) -> None:
        super().__init__(kind, (min(secret.AES_SIZES), max(secret.AES_SIZES)))


class Ecb(_Aes):
    """ECB (§6.11.4)."""

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption of whole blocks."""
        no_parameter(parameter)
        return Blocks(_cipher(key, modes.ECB()).encryptor(), CKR.DATA_LEN_RANGE)  # noqa: S305

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption of whole blocks."""
        no_parameter(parameter)
        context = _cipher(key, modes.ECB()).decryptor()  # noqa: S305
        return Blocks(context, CKR.ENCRYPTED_DATA_LEN_RANGE)


class Cbc(_Aes):
    """CBC without padding (§6.11.5); the parameter is the IV."""

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption of whole blocks."""
        mode = modes.CBC(flat_parameter(parameter, BLOCK))
        return Blocks(_cipher(key, mode).encryptor(), CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption of whole blocks."""
        mode = modes.CBC(flat_parameter(parameter, BLOCK))
        return Blocks(_cipher(key, mode).decryptor(), CKR.ENCRYPTED_DATA_LEN_RANGE)


class CbcPad(_Aes):
    """CBC with PKCS#7 padding (§6.11.6); the parameter is the IV."""

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption."""
        return Padding(_cipher(key, modes.CBC(flat_parameter(parameter, BLOCK))).encryptor())

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption."""
        return Unpadding(_cipher(key, modes.CBC(flat_parameter(parameter, BLOCK))).decryptor())


class Ctr(_Aes):
    """CTR (§6.12); the parameter is CK_AES_CTR_PARAMS."""

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption."""
        flat = flat_parameter(parameter, _CTR_PARAMETERS.size)
        bits, block = _CTR_PARAMETERS.unpack(flat)
        if not 0 < bits <= 8 * BLOCK:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "the counter has 1 to 128 bits")
        return Stream(_cipher(key, modes.CTR(block)).encryptor())

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption, which is the same."""
        return self.encrypt(key, parameter)


class Gcm(_Aes):
    """GCM (§6.13); the parameter is CK_GCM_PARAMS."""

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption."""
        nonce, extra, tag_length = self._read(parameter)
        context = _cipher(key, modes.GCM(nonce)).encryptor()
        context.authenticate_additional_data(extra)
        return GcmEncryption(context, tag_length)

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption."""
        nonce, extra, tag_length = self._read(parameter)
        mode = modes.GCM(nonce, min_tag_length=tag_length)
        context = _cipher(key, mode).decryptor()
        context.authenticate_additional_data(extra)
        return GcmDecryption(context, tag_length)

    @staticmethod
    def _read(parameter: Parameter) -> tuple[bytes, bytes, int]:
        match parameter:
            case (bytes(nonce), int(), bytes() | None as extra, int(tag_bits)):
                pass
            case (bytes(nonce), bytes() | None as extra, int(tag_bits)):
                pass
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_GCM_PARAMS expected")
        if not _GCM_MIN_NONCE <= len(nonce) <= _GCM_MAX_NONCE or tag_bits not in _GCM_TAGS:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "no such IV or tag length")
        return nonce, extra or b"", tag_bits // 8


class KeyGeneration(Mechanism):
    """AES keys of CKA_VALUE_LEN bytes (§6.11.3)."""

    flags = CKF.GENERATE
    key_types = (CKK.AES,)

    def generate(self, wanted: dict[int, bytes], parameter: Parameter) -> dict[int, bytes]:
        """Draw a key."""
        no_parameter(parameter)
        return {CKA.VALUE: secret.generate(CKK.AES, as_number(wanted[CKA.VALUE_LEN]))}


def _cipher(key: Material, mode: Mode) -> Cipher[Mode]:
    if not isinstance(key, bytes):
        raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an AES key is needed")
    return Cipher(algorithms.AES(key), mode)


MECHANISMS = (
    KeyGeneration(CKM.AES_KEY_GEN, (min(secret.AES_SIZES), max(secret.AES_SIZES))),
    Ecb(CKM.AES_ECB),
    Cbc(CKM.AES_CBC),
    CbcPad(CKM.AES_CBC_PAD),
    Ctr(CKM.AES_CTR),
    Gcm(CKM.AES_GCM),
)

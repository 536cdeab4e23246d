"""AES: key generation and the plain modes (PKCS#11 3.2 §6.11, §6.12, §6.17)."""

import struct

from cryptography.hazmat.decrepit.ciphers.modes import CFB, CFB8, OFB
from cryptography.hazmat.primitives.ciphers import CipherContext, algorithms, modes

from ukey_emulator.chip.keys import Material, secret
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKF, CKK, CKM, CKR

from .base import Ciphering, Parameter, flat_parameter
from .blockciphers import BlockMechanism, Cbc, CbcPad, Ecb, EncryptData, Family, KeyGeneration
from .blocks import Once, Stream

_BLOCK = 16
_SIZES = (min(secret.AES_SIZES), max(secret.AES_SIZES))
_XTS_SIZES = (32, 64)
_CTR_PARAMETERS = struct.Struct("<Q16s")

AES = Family((CKK.AES,), _SIZES, _BLOCK, algorithms.AES)
XTS = Family((CKK.AES_XTS,), _XTS_SIZES, _BLOCK, algorithms.AES)


class Counting(Stream):
    """A stream of so many blocks at most: then its counter would begin anew (§6.11)."""

    def __init__(self, context: CipherContext, blocks: int) -> None:
        super().__init__(context)
        self._left = blocks * _BLOCK

    def update(self, data: bytes) -> bytes:
        """Take a part, give as much; CKR_DATA_LEN_RANGE if the counter overflows."""
        self._left -= len(data)
        if self._left < 0:
            raise Refusal(CKR.DATA_LEN_RANGE, "the counter has no bits for so much")
        return super().update(data)


class Ctr(BlockMechanism):
    """CTR; the parameter is CK_AES_CTR_PARAMS (§6.11)."""

    flags = CKF.ENCRYPT | CKF.DECRYPT | CKF.WRAP | CKF.UNWRAP

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption."""
        flat = flat_parameter(parameter, _CTR_PARAMETERS.size)
        bits, block = _CTR_PARAMETERS.unpack(flat)
        if not 0 < bits <= 8 * _BLOCK:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "the counter has 1 to 128 bits")
        numbers = 1 << bits
        left = numbers - int.from_bytes(block, "big") % numbers
        return Counting(self.family.cipher(key, modes.CTR(block)).encryptor(), left)

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption, which is the same."""
        return self.encrypt(key, parameter)


class Feedback(BlockMechanism):
    """OFB and CFB; the parameter is the IV (§6.10.7, §6.10.8)."""

    flags = CKF.ENCRYPT | CKF.DECRYPT | CKF.WRAP | CKF.UNWRAP

    def __init__(self, kind: CKM, mode: type[CFB | CFB8 | OFB]) -> None:
        super().__init__(kind, AES)
        self._mode = mode

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption."""
        mode = self._mode(flat_parameter(parameter, _BLOCK))
        return Stream(self.family.cipher(key, mode).encryptor())

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption."""
        mode = self._mode(flat_parameter(parameter, _BLOCK))
        return Stream(self.family.cipher(key, mode).decryptor())


class Xts(BlockMechanism):
    """XTS of one data unit; the parameter is its number as 16 bytes (§6.15)."""

    flags = CKF.ENCRYPT | CKF.DECRYPT

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption of at least a block."""
        cipher = self.family.cipher(key, modes.XTS(flat_parameter(parameter, _BLOCK)))

        def work(data: bytes) -> bytes:
            if len(data) < _BLOCK:
                raise Refusal(CKR.DATA_LEN_RANGE, "a data unit has at least 16 bytes")
            return cipher.encryptor().update(data)

        return Once(work, lambda length: length)

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption of at least a block."""
        cipher = self.family.cipher(key, modes.XTS(flat_parameter(parameter, _BLOCK)))

        def work(data: bytes) -> bytes:
            if len(data) < _BLOCK:
                raise Refusal(CKR.ENCRYPTED_DATA_LEN_RANGE, "a data unit has at least 16 bytes")
            return cipher.decryptor().update(data)

        return Once(work, lambda length: length)


MECHANISMS = (
    KeyGeneration(CKM.AES_KEY_GEN, CKK.AES, _SIZES),
    Ecb(CKM.AES_ECB, AES),
    Cbc(CKM.AES_CBC, AES),
    CbcPad(CKM.AES_CBC_PAD, AES),
    Ctr(CKM.AES_CTR, AES),
    Feedback(CKM.AES_OFB, OFB),
    Feedback(CKM.AES_CFB8, CFB8),
    Feedback(CKM.AES_CFB128, CFB),
    EncryptData(CKM.AES_ECB_ENCRYPT_DATA, AES),
    EncryptData(CKM.AES_CBC_ENCRYPT_DATA, AES),
    KeyGeneration(CKM.AES_XTS_KEY_GEN, CKK.AES_XTS, _XTS_SIZES),
    Xts(CKM.AES_XTS, XTS),
)

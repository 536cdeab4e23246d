"""Codes made with block ciphers: CMAC, CBC-MAC (PKCS#11 3.2 §6.11.9, §6.14, §6.19)."""

import hmac
from typing import Protocol

from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.ciphers import modes

from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.objects.kinds import ULONG
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKF, CKM, CKR

from .aes import AES
from .base import Mechanism, Parameter, Signer, Verifier, flat_parameter, no_parameter
from .blockciphers import BlockMechanism, Family
from .camellia import CAMELLIA
from .des import DES, SINGLE
from .seed import SEED


class Code(Protocol):
    """The library's code under way."""

    def update(self, data: bytes) -> None:
        """Take a part of the message."""

    def finalize(self) -> bytes:
        """Give the whole code."""


class Cutting:
    """A code of which the first `length` bytes are given."""

    def __init__(self, code: Code, length: int) -> None:
        self._code = code
        self.update = code.update
        self.length = length

    def finish(self) -> bytes:
        """Give the code."""
        return self._code.finalize()[: self.length]


class Comparing:
    """A code to be judged, by making it again."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.update = signer.update

    def finish(self, signature: bytes) -> None:
        """Judge the code, in constant time."""
        if len(signature) != self._signer.length:
            raise Refusal(CKR.SIGNATURE_LEN_RANGE, f"a code has {self._signer.length} bytes")
        if not hmac.compare_digest(self._signer.finish(), signature):
            raise Refusal(CKR.SIGNATURE_INVALID)


def general_length(parameter: Parameter, most: int) -> int:
    """Read CK_MAC_GENERAL_PARAMS: the length of a code in bytes, at most `most`."""
    (length,) = ULONG.unpack(flat_parameter(parameter, ULONG.size))
    if not 0 < length <= most:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"a code has 1 to {most} bytes")
    return int(length)


class MacMechanism(Mechanism):
    """A mechanism whose verification makes the code again."""

    flags = CKF.SIGN | CKF.VERIFY

    def verify(self, key: Material, parameter: Parameter) -> Verifier:
        """Begin a verification."""
        return Comparing(self.sign(key, parameter))


class Cmac(BlockMechanism, MacMechanism):
    """CMAC; where its length is general, the parameter is CK_MAC_GENERAL_PARAMS."""

    flags = CKF.SIGN | CKF.VERIFY

    def __init__(self, kind: CKM, family: Family, *, general: bool = False) -> None:
        super().__init__(kind, family)
        self._general = general

    def sign(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a code."""
        length = self.family.block
        if self._general:
            length = general_length(parameter, length)
        else:
            no_parameter(parameter)
        if not isinstance(key, bytes):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "a secret key is needed")
        return Cutting(cmac.CMAC(self.family.algorithm(key)), length)


class Chain:
    """The last block of CBC over a message that is filled up with zeros (FIPS 113)."""

    def __init__(self, key: Material, family: Family) -> None:
        self._size = family.block
        self._context = family.cipher(key, modes.CBC(bytes(family.block))).encryptor()
        self._length = 0
        self._last = bytes(family.block)

    def update(self, data: bytes) -> None:
        """Take a part of the message."""
        self._length += len(data)
        self._last = (self._last + self._context.update(data))[-self._size :]

    def finalize(self) -> bytes:
        """Give the last block."""
        self.update(bytes(-self._length % self._size))
        return self._last


class CbcMac(BlockMechanism, MacMechanism):
    """CBC-MAC of half a block, or of the length that CK_MAC_GENERAL_PARAMS says."""

    flags = CKF.SIGN | CKF.VERIFY

    def __init__(self, kind: CKM, family: Family, *, general: bool = False) -> None:
        super().__init__(kind, family)
        self._general = general

    def sign(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a code."""
        length = self.family.block // 2
        if self._general:
            length = general_length(parameter, self.family.block)
        else:
            no_parameter(parameter)
        return Cutting(Chain(key, self.family), length)


MECHANISMS = (
    Cmac(CKM.AES_CMAC, AES),
    Cmac(CKM.AES_CMAC_GENERAL, AES, general=True),
    CbcMac(CKM.AES_MAC, AES),
    CbcMac(CKM.AES_MAC_GENERAL, AES, general=True),
    Cmac(CKM.DES3_CMAC, DES),
    Cmac(CKM.DES3_CMAC_GENERAL, DES, general=True),
    CbcMac(CKM.DES_MAC, SINGLE),
    CbcMac(CKM.DES_MAC_GENERAL, SINGLE, general=True),
    CbcMac(CKM.DES3_MAC, DES),
    CbcMac(CKM.DES3_MAC_GENERAL, DES, general=True),
    CbcMac(CKM.CAMELLIA_MAC, CAMELLIA),
    CbcMac(CKM.CAMELLIA_MAC_GENERAL, CAMELLIA, general=True),
    CbcMac(CKM.SEED_MAC, SEED),
    CbcMac(CKM.SEED_MAC_GENERAL, SEED, general=True),
)

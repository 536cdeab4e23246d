"""What AES and triple DES have alike: ECB, CBC, padding, derivation by encryption, key making.

PKCS#11 3.2 §6.11, §6.15 and §6.18; a family says which cipher it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, modes

from ukey_emulator.chip.keys import Material, secret
from ukey_emulator.chip.objects.kinds import as_number
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKF, CKM, CKR

from .base import Ciphering, Mechanism, Parameter, flat_parameter, no_parameter
from .blocks import Blocks, Padding, Unpadding

Mode = TypeVar("Mode", bound=modes.Mode)


@dataclass(frozen=True, slots=True)
class Family:
    """A block cipher: its keys, its block in bytes, and the library's name for it."""

    key_types: tuple[int, ...]
    sizes: tuple[int, int]
    block: int
    algorithm: Callable[[bytes], BlockCipherAlgorithm]

    def cipher(self, key: Material, mode: Mode) -> Cipher[Mode]:
        """Join a key and a mode; CKR_KEY_TYPE_INCONSISTENT for what is no secret key."""
        if not isinstance(key, bytes):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "a secret key is needed")
        return Cipher(self.algorithm(key), mode)


class BlockMechanism(Mechanism):
    """A mechanism of a family."""

    def __init__(self, kind: CKM, family: Family) -> None:
        super().__init__(kind, family.sizes)
        self.key_types = family.key_types
        self.family = family


class Ecb(BlockMechanism):
    """ECB; keys to be wrapped are filled up with zeros (§6.11.4)."""

    flags = CKF.ENCRYPT | CKF.DECRYPT | CKF.WRAP | CKF.UNWRAP

    def __init__(self, kind: CKM, family: Family) -> None:
        super().__init__(kind, family)
        self.fill = family.block

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption of whole blocks."""
        no_parameter(parameter)
        context = self.family.cipher(key, modes.ECB()).encryptor()  # noqa: S305
        return Blocks(context, self.family.block, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption of whole blocks."""
        no_parameter(parameter)
        context = self.family.cipher(key, modes.ECB()).decryptor()  # noqa: S305
        return Blocks(context, self.family.block, CKR.ENCRYPTED_DATA_LEN_RANGE)


class Cbc(BlockMechanism):
    """CBC without padding; the parameter is the IV, keys are filled up with zeros (§6.11.5)."""

    flags = CKF.ENCRYPT | CKF.DECRYPT | CKF.WRAP | CKF.UNWRAP

    def __init__(self, kind: CKM, family: Family) -> None:
        super().__init__(kind, family)
        self.fill = family.block

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption of whole blocks."""
        block = self.family.block
        context = self.family.cipher(key, modes.CBC(flat_parameter(parameter, block)))
        return Blocks(context.encryptor(), block, CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption of whole blocks."""
        block = self.family.block
        context = self.family.cipher(key, modes.CBC(flat_parameter(parameter, block)))
        return Blocks(context.decryptor(), block, CKR.ENCRYPTED_DATA_LEN_RANGE)


class CbcPad(BlockMechanism):
    """CBC with PKCS#7 padding; the parameter is the IV (§6.11.6)."""

    flags = CKF.ENCRYPT | CKF.DECRYPT | CKF.WRAP | CKF.UNWRAP

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption."""
        block = self.family.block
        context = self.family.cipher(key, modes.CBC(flat_parameter(parameter, block)))
        return Padding(context.encryptor(), block)

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption."""
        block = self.family.block
        context = self.family.cipher(key, modes.CBC(flat_parameter(parameter, block)))
        return Unpadding(context.decryptor(), block)


class EncryptData(BlockMechanism):
    """A key derived by encrypting data, in ECB or in CBC with an IV (§6.15)."""

    flags = CKF.DERIVE

    def derive(self, base: Material, parameter: Parameter, length: int | None) -> bytes:
        """Derive; the parameter is CK_KEY_DERIVATION_STRING_DATA, with the IV before it in CBC.

        CKR_DATA_LEN_RANGE if the data is shorter than the key (§6.15.2).
        """
        block = self.family.block
        match parameter:
            case (bytes(data),):
                context = self.family.cipher(base, modes.ECB()).encryptor()  # noqa: S305
            case (bytes(iv), bytes(data)):
                context = self.family.cipher(base, modes.CBC(iv)).encryptor()
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "the data to encrypt is missing")
        if len(data) % block or not data:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "the data has whole blocks")
        if length is not None and length > len(data):
            raise Refusal(CKR.DATA_LEN_RANGE, f"{len(data)} bytes make no key of {length}")
        return context.update(data)[:length]


def leading(value: bytes, length: int | None) -> bytes:
    """Give the first bytes of what a derivation made; CKR_TEMPLATE_INCONSISTENT if too few."""
    if length is not None and length > len(value):
        raise Refusal(CKR.TEMPLATE_INCONSISTENT, f"only {len(value)} bytes can be had")
    return value[:length]


class KeyGeneration(Mechanism):
    """Keys of one type: of CKA_VALUE_LEN bytes, or of the only length that they can have."""

    flags = CKF.GENERATE

    def __init__(self, kind: CKM, key_type: int, sizes: tuple[int, int] = (0, 0)) -> None:
        super().__init__(kind, sizes)
        self.key_types = (key_type,)

    def generate(self, wanted: dict[int, bytes], parameter: Parameter) -> dict[int, bytes]:
        """Draw a key."""
        no_parameter(parameter)
        (key_type,) = self.key_types
        length = secret.fixed_length(key_type)
        if CKA.VALUE_LEN in wanted:
            length = as_number(wanted[CKA.VALUE_LEN])
        return {CKA.VALUE: secret.generate(key_type, length or 0)}

"""Simple derivations: concatenation, exclusive or, extraction, hashing (§6.21, §6.43)."""

import hashlib
from typing import ClassVar

from ukey_emulator.chip.keys import Material, secret
from ukey_emulator.chip.objects.kinds import ULONG, as_number
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKF, CKK, CKM, CKO, CKR

from .base import Heir, Mechanism, Parameter, flat_parameter, no_parameter
from .blockciphers import leading

_SIZES = (1, secret.MAX_GENERIC)


class Derivation(Mechanism):
    """A derivation from any secret key, which is never less secret than what it comes from."""

    flags = CKF.DERIVE
    key_types = secret.TYPES
    heir = Heir.BOUND

    def __init__(self, kind: CKM) -> None:
        super().__init__(kind, _SIZES)


def value_of(key: Material) -> bytes:
    """Take a secret key's value, else CKR_KEY_TYPE_INCONSISTENT."""
    if not isinstance(key, bytes):
        raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "a secret key is needed")
    return key


def string_data(parameter: Parameter) -> bytes:
    """Read CK_KEY_DERIVATION_STRING_DATA."""
    match parameter:
        case (bytes(data),):
            return data
        case _:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_KEY_DERIVATION_STRING_DATA expected")


class BaseAndKey(Derivation):
    """The base and another key, one behind the other; the parameter is the other's handle."""

    def handles(self, parameter: Parameter) -> tuple[int, ...]:
        """Give the other key's handle."""
        return (ULONG.unpack(flat_parameter(parameter, ULONG.size))[0],)

    def derive_with(
        self,
        base: Material,
        others: tuple[Material, ...],
        parameter: Parameter,
        length: int | None,
    ) -> bytes:
        """Derive."""
        del parameter
        return leading(value_of(base) + b"".join(map(value_of, others)), length)


class BaseAndData(Derivation):
    """The base with data behind it."""

    def derive(self, base: Material, parameter: Parameter, length: int | None) -> bytes:
        """Derive."""
        return leading(value_of(base) + string_data(parameter), length)


class DataAndBase(Derivation):
    """The base with data before it."""

    def derive(self, base: Material, parameter: Parameter, length: int | None) -> bytes:
        """Derive."""
        return leading(string_data(parameter) + value_of(base), length)


class BaseXorData(Derivation):
    """The base and data, bit by bit, as long as the shorter of the two."""

    def derive(self, base: Material, parameter: Parameter, length: int | None) -> bytes:
        """Derive."""
        pairs = zip(value_of(base), string_data(parameter), strict=False)
        return leading(bytes(one ^ other for one, other in pairs), length)


class Extraction(Derivation):
    """The bits of the base from one on, which the parameter says, and round again."""

    heir = Heir.STRICT

    def derive(self, base: Material, parameter: Parameter, length: int | None) -> bytes:
        """Derive; a length is needed (CKR_TEMPLATE_INCOMPLETE)."""
        value = value_of(base)
        first = as_number(flat_parameter(parameter, ULONG.size))
        if first >= 8 * len(value):
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"the key has {8 * len(value)} bits")
        if length is None:
            raise Refusal(CKR.TEMPLATE_INCOMPLETE, "how long the key shall be is missing")
        if length > len(value):
            raise Refusal(CKR.TEMPLATE_INCONSISTENT, f"only {len(value)} bytes can be had")
        whole = 8 * len(value)
        number = int.from_bytes(value, "big")
        turned = (number << first | number >> whole - first) & (1 << whole) - 1
        return turned.to_bytes(len(value), "big")[:length]


class HashDerivation(Derivation):
    """The digest of the base."""

    heir = Heir.FREE

    def __init__(self, kind: CKM, name: str) -> None:
        super().__init__(kind)
        self._name = name

    def derive(self, base: Material, parameter: Parameter, length: int | None) -> bytes:
        """Derive."""
        no_parameter(parameter)
        return leading(hashlib.new(self._name, value_of(base)).digest(), length)


class ShakeDerivation(Derivation):
    """As much of the base's SHAKE as is wanted; `size` bytes if that is not said."""

    heir = Heir.FREE

    def __init__(self, kind: CKM, name: str, size: int) -> None:
        super().__init__(kind)
        self._name = name
        self._size = size

    def derive(self, base: Material, parameter: Parameter, length: int | None) -> bytes:
        """Derive."""
        no_parameter(parameter)
        shake = hashlib.shake_128 if self._name == "shake_128" else hashlib.shake_256
        return shake(value_of(base)).digest(length or self._size)


class PublicKey(Mechanism):
    """The public key of a private one, of every type (§6.43.8)."""

    flags = CKF.DERIVE
    key_types = (
        CKK.RSA,
        CKK.DSA,
        CKK.EC,
        CKK.EC_EDWARDS,
        CKK.EC_MONTGOMERY,
        CKK.ML_DSA,
        CKK.ML_KEM,
    )
    makes: ClassVar[int] = CKO.PUBLIC_KEY


MECHANISMS = (
    PublicKey(CKM.PUB_KEY_FROM_PRIV_KEY),
    BaseAndKey(CKM.CONCATENATE_BASE_AND_KEY),
    BaseAndData(CKM.CONCATENATE_BASE_AND_DATA),
    DataAndBase(CKM.CONCATENATE_DATA_AND_BASE),
    BaseXorData(CKM.XOR_BASE_AND_DATA),
    Extraction(CKM.EXTRACT_KEY_FROM_KEY),
    HashDerivation(CKM.MD5_KEY_DERIVATION, "md5"),
    HashDerivation(CKM.SHA1_KEY_DERIVATION, "sha1"),
    HashDerivation(CKM.SHA224_KEY_DERIVATION, "sha224"),
    HashDerivation(CKM.SHA256_KEY_DERIVATION, "sha256"),
    HashDerivation(CKM.SHA384_KEY_DERIVATION, "sha384"),
    HashDerivation(CKM.SHA512_KEY_DERIVATION, "sha512"),
    HashDerivation(CKM.SHA512_224_KEY_DERIVATION, "sha512_224"),
    HashDerivation(CKM.SHA512_256_KEY_DERIVATION, "sha512_256"),
    HashDerivation(CKM.SHA3_224_KEY_DERIVATION, "sha3_224"),
    HashDerivation(CKM.SHA3_256_KEY_DERIVATION, "sha3_256"),
    HashDerivation(CKM.SHA3_384_KEY_DERIVATION, "sha3_384"),
    HashDerivation(CKM.SHA3_512_KEY_DERIVATION, "sha3_512"),
    ShakeDerivation(CKM.SHAKE_128_KEY_DERIVATION, "shake_128", 32),
    ShakeDerivation(CKM.SHAKE_256_KEY_DERIVATION, "shake_256", 64),
)

"""Key derivation functions: HKDF and PBKDF2 (PKCS#11 3.2 §6.37, §6.62)."""

from typing import ClassVar

from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from ukey_emulator.chip.keys import Material, secret
from ukey_emulator.chip.objects.kinds import as_number
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKF, CKK, CKM, CKO, CKP, CKR, CKZ

from .base import Mechanism, Parameter
from .blockciphers import KeyGeneration
from .derivation import value_of
from .digests import algorithm

_SIZES = (1, secret.MAX_GENERIC)
_MOST_ITERATIONS = 1 << 24
_MOST_BLOCKS = 255


class Hkdf(Mechanism):
    """HKDF: extraction, expansion or both (RFC 5869); the parameter is CK_HKDF_PARAMS."""

    flags = CKF.DERIVE
    key_types = secret.TYPES

    def handles(self, parameter: Parameter) -> tuple[int, ...]:
        """Give the handle of the salt, if that is a key."""
        match parameter:
            case (_, _, _, CKF.HKDF_SALT_KEY, _, int(handle), _):
                return (handle,)
            case _:
                return ()

    def derive_with(
        self,
        base: Material,
        others: tuple[Material, ...],
        parameter: Parameter,
        length: int | None,
    ) -> bytes:
        """Derive."""
        match parameter:
            case (
                int(extract),
                int(expand),
                int(hash_type),
                int(salt_type),
                bytes() | None as salt,
                int(),
                bytes() | None as info,
            ):
                pass
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_HKDF_PARAMS expected")
        if extract not in (0, 1) or expand not in (0, 1) or not extract | expand:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "neither extraction nor expansion")
        hashed = algorithm(hash_type)
        value = value_of(base)
        if extract:
            value = HKDF.extract(hashed, _salt(salt_type, salt, others), value)
        if not expand:
            if length not in (None, len(value)):
                raise Refusal(CKR.TEMPLATE_INCONSISTENT, f"extraction gives {len(value)} bytes")
            return value
        wanted = hashed.digest_size if length is None else length
        if wanted > _MOST_BLOCKS * hashed.digest_size:
            raise Refusal(CKR.TEMPLATE_INCONSISTENT, "longer than HKDF can give")
        return HKDFExpand(hashed, wanted, info).derive(value)


def _salt(salt_type: int, salt: bytes | None, others: tuple[Material, ...]) -> bytes | None:
    match salt_type:
        case CKF.HKDF_SALT_NULL:
            return None
        case CKF.HKDF_SALT_DATA if salt is not None:
            return salt
        case CKF.HKDF_SALT_KEY:
            return value_of(others[0])
        case _:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"no salt of type {salt_type:#x}")


class HkdfData(Hkdf):
    """HKDF into a data object, for what is no key, such as an IV (§6.62.4)."""

    makes: ClassVar[int] = CKO.DATA


_PRFS: dict[int, CKM] = {
    CKP.PKCS5_PBKD2_HMAC_SHA1: CKM.SHA_1,
    CKP.PKCS5_PBKD2_HMAC_SHA224: CKM.SHA224,
    CKP.PKCS5_PBKD2_HMAC_SHA256: CKM.SHA256,
    CKP.PKCS5_PBKD2_HMAC_SHA384: CKM.SHA384,
    CKP.PKCS5_PBKD2_HMAC_SHA512: CKM.SHA512,
    CKP.PKCS5_PBKD2_HMAC_SHA512_224: CKM.SHA512_224,
    CKP.PKCS5_PBKD2_HMAC_SHA512_256: CKM.SHA512_256,
}


class Pbkdf2(Mechanism):
    """A key of any type from a password; the parameter is CK_PKCS5_PBKD2_PARAMS2 (§6.37.4)."""

    flags = CKF.GENERATE
    key_types = secret.TYPES

    def generate(self, wanted: dict[int, bytes], parameter: Parameter) -> dict[int, bytes]:
        """Make the key."""
        match parameter:
            case (
                CKZ.SALT_SPECIFIED,
                bytes(salt),
                int(iterations),
                int(prf),
                b"" | None,
                bytes() | None as password,
            ) if prf in _PRFS and 0 < iterations <= _MOST_ITERATIONS:
                pass
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_PKCS5_PBKD2_PARAMS2 expected")
        key_type = as_number(wanted[CKA.KEY_TYPE])
        length = secret.fixed_length(key_type)
        if CKA.VALUE_LEN in wanted:
            length = as_number(wanted[CKA.VALUE_LEN])
        if length is None or not secret.fits(key_type, length):
            raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "no such key of that length")
        maker = PBKDF2HMAC(algorithm(_PRFS[prf]), length, salt, iterations)
        value = maker.derive(password or b"")
        if key_type in secret.DES_TYPES:
            value = secret.with_parity(value)
        return {CKA.VALUE: value}


MECHANISMS = (
    Hkdf(CKM.HKDF_DERIVE, _SIZES),
    HkdfData(CKM.HKDF_DATA, _SIZES),
    KeyGeneration(CKM.HKDF_KEY_GEN, CKK.HKDF, _SIZES),
    Pbkdf2(CKM.PKCS5_PBKD2, _SIZES),
)

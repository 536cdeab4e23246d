"""Wrapping of long keys by public keys: an AES key between them (PKCS#11 3.2 §6.1.17, §6.3.23)."""

import secrets

from cryptography.hazmat.primitives.asymmetric import ec

from ukey_emulator.chip.keys import Material, montgomery, secret
from ukey_emulator.chip.keys import ec as curves
from ukey_emulator.chip.keys.curves import octet_string
from ukey_emulator.chip.keys.rsa import MAX_USED_BITS, MIN_USED_BITS
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKF, CKK, CKM, CKR

from .aes import AES
from .base import Mechanism, Parameter
from .ecdh import agreed, common_secret, point_of, spread
from .keywrap import KeyWrapPadded
from .rsa import Oaep, private_key

_KWP = KeyWrapPadded(CKM.AES_KEY_WRAP_KWP, AES)
_OAEP = Oaep(CKM.RSA_PKCS_OAEP)


def _aes_length(bits: int) -> int:
    if bits % 8 or bits // 8 not in secret.AES_SIZES:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"no AES keys of {bits} bits")
    return bits // 8


class RsaAes(Mechanism):
    """An AES key under OAEP, and behind it the key under that; CK_RSA_AES_KEY_WRAP_PARAMS."""

    flags = CKF.WRAP | CKF.UNWRAP
    key_types = (CKK.RSA,)

    def wrap(self, key: Material, data: bytes, parameter: Parameter) -> bytes:
        """Wrap a key of any length."""
        length, oaep = self._read(parameter)
        between = secrets.token_bytes(length)
        return _OAEP.wrap(key, between, oaep) + _KWP.wrap(between, data, None)

    def unwrap(self, key: Material, wrapped: bytes, parameter: Parameter) -> bytes:
        """Unwrap it."""
        length, oaep = self._read(parameter)
        cut = (private_key(key).key_size + 7) // 8
        if len(wrapped) <= cut:
            raise Refusal(CKR.WRAPPED_KEY_LEN_RANGE, "nothing stands behind the AES key")
        between = _OAEP.unwrap(key, wrapped[:cut], oaep)
        if len(between) != length:
            raise Refusal(CKR.WRAPPED_KEY_INVALID, "the AES key has another length")
        return _KWP.unwrap(between, wrapped[cut:], None)

    @staticmethod
    def _read(parameter: Parameter) -> tuple[int, Parameter]:
        match parameter:
            case (int(bits), (_, tuple(oaep))):
                return _aes_length(bits), oaep
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_RSA_AES_KEY_WRAP_PARAMS expected")


class EcdhAes(Mechanism):
    """A point, and behind it the key under what was agreed; CK_ECDH_AES_KEY_WRAP_PARAMS."""

    flags = CKF.WRAP | CKF.UNWRAP | CKF.EC_F_P | CKF.EC_OID | CKF.EC_CURVENAME | CKF.EC_UNCOMPRESS
    key_types: tuple[int, ...] = (CKK.EC, CKK.EC_MONTGOMERY)

    def wrap(self, key: Material, data: bytes, parameter: Parameter) -> bytes:
        """Wrap a key of any length."""
        length, kdf, shared = self._read(parameter)
        point, common = agreed(key)
        if isinstance(key, ec.EllipticCurvePublicKey):
            point = octet_string(point)
        return point + _KWP.wrap(spread(common, kdf, shared, length), data, None)

    def unwrap(self, key: Material, wrapped: bytes, parameter: Parameter) -> bytes:
        """Unwrap it."""
        length, kdf, shared = self._read(parameter)
        cut = _point_length(key)
        try:
            common = common_secret(key, wrapped[:cut])
        except Refusal as refusal:
            if refusal.code is not CKR.MECHANISM_PARAM_INVALID:
                raise
            raise Refusal(CKR.WRAPPED_KEY_INVALID, refusal.why) from None
        return _KWP.unwrap(spread(common, kdf, shared, length), wrapped[cut:], None)

    @staticmethod
    def _read(parameter: Parameter) -> tuple[int, int, bytes | None]:
        match parameter:
            case (int(bits), int(kdf), bytes() | None as shared):
                return _aes_length(bits), kdf, shared
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_ECDH_AES_KEY_WRAP_PARAMS expected")


class CofactorEcdhAes(EcdhAes):
    """The same with short Weierstrass curves."""

    key_types = (CKK.EC,)


class MontgomeryEcdhAes(EcdhAes):
    """The same with Montgomery curves."""

    key_types = (CKK.EC_MONTGOMERY,)


def _point_length(key: Material) -> int:
    """Give the length of what stands before the wrapped key."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return len(octet_string(point_of(key.public_key())))
    if isinstance(key, montgomery.PrivateKey):
        return len(point_of(key.public_key()))
    raise Refusal(CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT, "an EC private key is needed")


_SIZES = (curves.MIN_BITS, curves.MAX_BITS)

MECHANISMS = (
    RsaAes(CKM.RSA_AES_KEY_WRAP, (MIN_USED_BITS, MAX_USED_BITS)),
    EcdhAes(CKM.ECDH_AES_KEY_WRAP, _SIZES),
    CofactorEcdhAes(CKM.ECDH_COF_AES_KEY_WRAP, _SIZES),
    MontgomeryEcdhAes(CKM.ECDH_X_AES_KEY_WRAP, _SIZES),
)

"""Elliptic curve Diffie-Hellman (PKCS#11 3.2 §6.3.16)."""

from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.keys import ec as keys
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKD, CKF, CKK, CKM, CKR

from .base import Mechanism, Parameter
from .digests import ALGORITHMS

_HASHES = {
    CKD.SHA1_KDF: CKM.SHA_1,
    CKD.SHA224_KDF: CKM.SHA224,
    CKD.SHA256_KDF: CKM.SHA256,
    CKD.SHA384_KDF: CKM.SHA384,
    CKD.SHA512_KDF: CKM.SHA512,
}


class Ecdh(Mechanism):
    """The x coordinate of the common point, as it is or through the KDF of X9.63.

    All curves here have the cofactor 1, so that the cofactor variant is the same.
    """

    flags = CKF.DERIVE | CKF.EC_F_P | CKF.EC_NAMEDCURVE | CKF.EC_UNCOMPRESS
    key_types: ClassVar[tuple[int, ...]] = (CKK.EC,)

    def derive(self, base: Material, parameter: Parameter, length: int | None) -> bytes:
        """Derive; the parameter is CK_ECDH1_DERIVE_PARAMS.

        Without a KDF the secret is cut to its first `length` bytes.
        """
        match parameter:
            case (int(kdf), bytes() | None as shared, bytes(point)):
                pass
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_ECDH1_DERIVE_PARAMS expected")
        if not isinstance(base, ec.EllipticCurvePrivateKey):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an EC private key is needed")
        try:
            peer = ec.EllipticCurvePublicKey.from_encoded_point(base.curve, keys.bare_point(point))
            secret = base.exchange(ec.ECDH(), peer)
        except ValueError as error:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, str(error)) from None
        if kdf == CKD.NULL:
            if shared:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "shared data without a KDF")
            if length is not None and length > len(secret):
                raise Refusal(CKR.TEMPLATE_INCONSISTENT, f"the secret has {len(secret)} bytes")
            return secret[:length]
        algorithm = ALGORITHMS.get(_HASHES.get(CKD(kdf), 0)) if kdf in _KDFS else None
        if algorithm is None:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"no KDF {kdf:#x}")
        wanted = length or algorithm.digest_size
        return X963KDF(algorithm, wanted, shared).derive(secret)


_KDFS = frozenset(map(int, CKD))
_SIZES = (keys.MIN_BITS, keys.MAX_BITS)

MECHANISMS = (
    Ecdh(CKM.ECDH1_DERIVE, _SIZES),
    Ecdh(CKM.ECDH1_COFACTOR_DERIVE, _SIZES),
)

"""Elliptic curve Diffie-Hellman (PKCS#11 3.2 §6.3.20, §6.3.21), Montgomery key pairs."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_emulator.chip.keys import Material, montgomery
from ukey_emulator.chip.keys import ec as keys
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKD, CKF, CKK, CKM, CKR

from .base import Mechanism, Parameter, no_parameter
from .digests import algorithm

_X963 = {
    CKD.SHA1_KDF: CKM.SHA_1,
    CKD.SHA224_KDF: CKM.SHA224,
    CKD.SHA256_KDF: CKM.SHA256,
    CKD.SHA384_KDF: CKM.SHA384,
    CKD.SHA512_KDF: CKM.SHA512,
    CKD.SHA3_224_KDF: CKM.SHA3_224,
    CKD.SHA3_256_KDF: CKM.SHA3_256,
    CKD.SHA3_384_KDF: CKM.SHA3_384,
    CKD.SHA3_512_KDF: CKM.SHA3_512,
}
_SP800_56A = {
    CKD.SHA1_KDF_SP800: CKM.SHA_1,
    CKD.SHA224_KDF_SP800: CKM.SHA224,
    CKD.SHA256_KDF_SP800: CKM.SHA256,
    CKD.SHA384_KDF_SP800: CKM.SHA384,
    CKD.SHA512_KDF_SP800: CKM.SHA512,
    CKD.SHA3_224_KDF_SP800: CKM.SHA3_224,
    CKD.SHA3_256_KDF_SP800: CKM.SHA3_256,
    CKD.SHA3_384_KDF_SP800: CKM.SHA3_384,
    CKD.SHA3_512_KDF_SP800: CKM.SHA3_512,
}
_KDFS: dict[int, tuple[type[X963KDF | ConcatKDFHash], hashes.HashAlgorithm]] = {
    **{kdf: (X963KDF, algorithm(hashed)) for kdf, hashed in _X963.items()},
    **{kdf: (ConcatKDFHash, algorithm(hashed)) for kdf, hashed in _SP800_56A.items()},
}


class Ecdh(Mechanism):
    """The x coordinate of the common point, as it is or through a KDF."""

    flags = (
        CKF.DERIVE
        | CKF.ENCAPSULATE
        | CKF.DECAPSULATE
        | CKF.EC_F_P
        | CKF.EC_OID
        | CKF.EC_CURVENAME
        | CKF.EC_UNCOMPRESS
        | CKF.EC_COMPRESS
    )

    key_types: tuple[int, ...] = (CKK.EC, CKK.EC_MONTGOMERY)

    def derive(self, base: Material, parameter: Parameter, length: int | None) -> bytes:
        """Derive; the parameter is CK_ECDH1_DERIVE_PARAMS."""
        match parameter:
            case (int(kdf), bytes() | None as shared, bytes(point)):
                return spread(common_secret(base, point), kdf, shared, length)
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_ECDH1_DERIVE_PARAMS expected")

    def encapsulate(
        self, key: Material, parameter: Parameter, length: int | None
    ) -> tuple[bytes, bytes]:
        """Agree with a key made for this; its public key is the ciphertext (§6.3.20)."""
        kdf, shared = _without_point(parameter)
        point, secret = agreed(key)
        return spread(secret, kdf, shared, length), point

    def ciphertext_length(self, key: Material) -> int:
        """Give the length of a point."""
        return len(point_of(key))

    def decapsulate(
        self, key: Material, parameter: Parameter, ciphertext: bytes, length: int | None
    ) -> bytes:
        """Agree with the point that is the ciphertext."""
        kdf, shared = _without_point(parameter)
        try:
            secret = common_secret(key, ciphertext)
        except Refusal as refusal:
            if refusal.code is not CKR.MECHANISM_PARAM_INVALID:
                raise
            raise Refusal(CKR.WRAPPED_KEY_INVALID, refusal.why) from None
        return spread(secret, kdf, shared, length)


def _without_point(parameter: Parameter) -> tuple[int, bytes | None]:
    match parameter:
        case (int(kdf), bytes() | None as shared, b"" | None):
            return kdf, shared
        case _:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_ECDH1_DERIVE_PARAMS without a point")


def point_of(key: Material) -> bytes:
    """Give a public key's point: uncompressed, or as RFC 7748 has it."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    if isinstance(key, montgomery.PublicKey):
        return key.public_bytes_raw()
    raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an EC public key is needed")


def agreed(key: Material) -> tuple[bytes, bytes]:
    """Make a key for one agreement with a public key: give its point and the common secret."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        own = ec.generate_private_key(key.curve)
        return point_of(own.public_key()), own.exchange(ec.ECDH(), key)
    if isinstance(key, x25519.X25519PublicKey):
        small = x25519.X25519PrivateKey.generate()
        return point_of(small.public_key()), small.exchange(key)
    if isinstance(key, x448.X448PublicKey):
        large = x448.X448PrivateKey.generate()
        return point_of(large.public_key()), large.exchange(key)
    raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an EC public key is needed")


def common_secret(base: Material, point: bytes) -> bytes:
    """Give the common secret of a private key and the other side's point.

    CKR_MECHANISM_PARAM_INVALID for a point that is none of the curve.
    """
    try:
        if isinstance(base, ec.EllipticCurvePrivateKey):
            return base.exchange(ec.ECDH(), keys.point_of(base.curve, point))
        if isinstance(base, montgomery.PrivateKey):
            return montgomery.exchange(base, point)
    except ValueError as error:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, str(error)) from None
    raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an EC private key is needed")


def spread(secret: bytes, kdf: int, shared: bytes | None, length: int | None) -> bytes:
    """Make `length` bytes out of a common secret by CKD_…, or as many as there are.

    Without a KDF a secret that is too long loses its leading bytes (§6.3.20).
    """
    if kdf == CKD.NULL:
        if shared:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "shared data without a KDF")
        if length is None:
            return secret
        if length > len(secret):
            raise Refusal(CKR.TEMPLATE_INCONSISTENT, f"the secret has {len(secret)} bytes")
        return secret[len(secret) - length :]
    try:
        function, hashed = _KDFS[kdf]
    except KeyError:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"no KDF {kdf:#x}") from None
    return function(hashed, length or hashed.digest_size, shared).derive(secret)


class CofactorEcdh(Ecdh):
    """The same: all short Weierstrass curves here have the cofactor 1 (§6.3.21)."""

    key_types = (CKK.EC,)


class PairGeneration(Mechanism):
    """Montgomery key pairs (§6.3.11)."""

    flags = CKF.GENERATE_KEY_PAIR | CKF.EC_F_P | CKF.EC_OID | CKF.EC_CURVENAME | CKF.EC_COMPRESS
    key_types = (CKK.EC_MONTGOMERY,)

    def generate_pair(
        self, wanted: dict[int, bytes], parameter: Parameter
    ) -> tuple[dict[int, bytes], dict[int, bytes], Material]:
        """Make a pair on the curve that CKA_EC_PARAMS names."""
        no_parameter(parameter)
        private = montgomery.generate(wanted[CKA.EC_PARAMS])
        hidden = {
            CKA.EC_PARAMS: wanted[CKA.EC_PARAMS],
            **montgomery.private_attributes(private),
        }
        return montgomery.public_attributes(private.public_key()), hidden, private


_SIZES = (keys.MIN_BITS, keys.MAX_BITS)

MECHANISMS = (
    PairGeneration(CKM.EC_MONTGOMERY_KEY_PAIR_GEN, (montgomery.MIN_BITS, montgomery.MAX_BITS)),
    Ecdh(CKM.ECDH1_DERIVE, _SIZES),
    CofactorEcdh(CKM.ECDH1_COFACTOR_DERIVE, _SIZES),
)

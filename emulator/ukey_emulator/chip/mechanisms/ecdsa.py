"""ECDSA and elliptic curve key pairs (PKCS#11 3.2 §6.3)."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.keys import ec as keys
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKF, CKK, CKM, CKR

from .base import Mechanism, Parameter, Signer, Verifier, no_parameter
from .digests import algorithm
from .messages import PREHASHED, message

_SIZES = (keys.MIN_BITS, keys.MAX_BITS)
_CURVES = CKF.EC_F_P | CKF.EC_OID | CKF.EC_CURVENAME | CKF.EC_UNCOMPRESS | CKF.EC_COMPRESS
# A digest size that the library takes → the scheme for it.
_BY_SIZE = {size: ec.ECDSA(digest) for size, digest in PREHASHED.items()}


def _scheme(data: bytes, curve_bytes: int) -> tuple[bytes, ec.ECDSA]:
    """Fit the message to a length that the library takes, without changing its number.

    Of a longer message only the leftmost bits count, as many as the curve has; zeros in front
    of a shorter one do not change it (FIPS 186-5 §6.4.1).
    """
    scheme = _BY_SIZE.get(len(data))
    if scheme is not None:
        return data, scheme
    data = data[:curve_bytes]
    for size, chosen in _BY_SIZE.items():
        if len(data) <= size:
            return data.rjust(size, b"\0"), chosen
    raise Refusal(CKR.DATA_LEN_RANGE, "at most 64 bytes are signed on this curve")


class EcdsaSigner:
    """An ECDSA signature under way."""

    def __init__(
        self, key: ec.EllipticCurvePrivateKey, hashed_with: hashes.HashAlgorithm | None
    ) -> None:
        self._key = key
        self._message = message(hashed_with)
        self.update = self._message.update
        self._half = (key.key_size + 7) // 8
        self.length = 2 * self._half

    def finish(self) -> bytes:
        """Give r and s, each of the curve's length (§6.3.1)."""
        data, scheme = _scheme(self._message.finish(), self._half)
        r, s = decode_dss_signature(self._key.sign(data, scheme))
        return r.to_bytes(self._half, "big") + s.to_bytes(self._half, "big")


class EcdsaVerifier:
    """An ECDSA verification under way."""

    def __init__(
        self, key: ec.EllipticCurvePublicKey, hashed_with: hashes.HashAlgorithm | None
    ) -> None:
        self._key = key
        self._message = message(hashed_with)
        self.update = self._message.update
        self._half = (key.key_size + 7) // 8

    def finish(self, signature: bytes) -> None:
        """Judge the signature."""
        half = self._half
        data, scheme = _scheme(self._message.finish(), half)
        if len(signature) != 2 * half:
            raise Refusal(CKR.SIGNATURE_LEN_RANGE, f"a signature has {2 * half} bytes")
        encoded = encode_dss_signature(
            int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        )
        try:
            self._key.verify(encoded, data, scheme)
        except InvalidSignature:
            raise Refusal(CKR.SIGNATURE_INVALID) from None


class Ecdsa(Mechanism):
    """ECDSA over a digest that the program made, or with the hash made on the key (§6.3.12)."""

    flags = CKF.SIGN | CKF.VERIFY | _CURVES
    key_types = (CKK.EC,)

    def __init__(self, kind: CKM, hashed_with: CKM | None = None) -> None:
        super().__init__(kind, _SIZES)
        self._hash = None if hashed_with is None else algorithm(hashed_with)

    def sign(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a signature."""
        no_parameter(parameter)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an EC private key is needed")
        return EcdsaSigner(key, self._hash)

    def verify(self, key: Material, parameter: Parameter) -> Verifier:
        """Begin a verification."""
        no_parameter(parameter)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an EC public key is needed")
        return EcdsaVerifier(key, self._hash)


class PairGeneration(Mechanism):
    """Elliptic curve key pairs (§6.3.8)."""

    flags = CKF.GENERATE_KEY_PAIR | _CURVES
    key_types = (CKK.EC,)

    def generate_pair(
        self, wanted: dict[int, bytes], parameter: Parameter
    ) -> tuple[dict[int, bytes], dict[int, bytes], Material]:
        """Make a pair on the curve that CKA_EC_PARAMS names."""
        no_parameter(parameter)
        key = keys.generate(wanted[CKA.EC_PARAMS])
        private = {CKA.EC_PARAMS: wanted[CKA.EC_PARAMS], **keys.private_attributes(key)}
        return keys.public_attributes(key.public_key()), private, key


MECHANISMS = (
    PairGeneration(CKM.EC_KEY_PAIR_GEN, _SIZES),
    Ecdsa(CKM.ECDSA),
    Ecdsa(CKM.ECDSA_SHA1, CKM.SHA_1),
    Ecdsa(CKM.ECDSA_SHA224, CKM.SHA224),
    Ecdsa(CKM.ECDSA_SHA256, CKM.SHA256),
    Ecdsa(CKM.ECDSA_SHA384, CKM.SHA384),
    Ecdsa(CKM.ECDSA_SHA512, CKM.SHA512),
    Ecdsa(CKM.ECDSA_SHA3_224, CKM.SHA3_224),
    Ecdsa(CKM.ECDSA_SHA3_256, CKM.SHA3_256),
    Ecdsa(CKM.ECDSA_SHA3_384, CKM.SHA3_384),
    Ecdsa(CKM.ECDSA_SHA3_512, CKM.SHA3_512),
)

"""EdDSA and Edwards key pairs (PKCS#11 3.2 §6.3.10, §6.3.16)."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.keys import edwards as keys
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKF, CKK, CKM, CKR

from . import rfc8032
from .base import Mechanism, Parameter, Signer, Verifier, no_parameter
from .messages import Gathered

_SIZES = (keys.MIN_BITS, keys.MAX_BITS)
_CURVES = CKF.EC_F_P | CKF.EC_OID | CKF.EC_CURVENAME | CKF.EC_COMPRESS
_MAX_CONTEXT = 255

# Whether the message is hashed first, and the context; None for the pure scheme of the curve.
Scheme = tuple[bool, bytes] | None


class EddsaSigner:
    """An EdDSA signature under way; the message is gone through twice, so it is gathered."""

    def __init__(self, private: keys.EdwardsPrivate, scheme: Scheme) -> None:
        self._key = private.key
        self._scheme = scheme
        self._curve = _curve(isinstance(private.key, ed25519.Ed25519PrivateKey))
        self._message = Gathered()
        self.update = self._message.update
        self.length = 2 * self._curve.length

    def finish(self) -> bytes:
        """Give R and S."""
        message = self._message.finish()
        if self._scheme is None:
            return self._key.sign(message)
        prehashed, context = self._scheme
        secret = self._key.private_bytes_raw()
        return self._curve.sign(secret, message, context, prehashed=prehashed)


class EddsaVerifier:
    """An EdDSA verification under way."""

    def __init__(self, public: keys.EdwardsPublic, scheme: Scheme) -> None:
        self._key = public.key
        self._scheme = scheme
        self._curve = _curve(isinstance(public.key, ed25519.Ed25519PublicKey))
        self._message = Gathered()
        self.update = self._message.update

    def finish(self, signature: bytes) -> None:
        """Judge the signature."""
        length = 2 * self._curve.length
        if len(signature) != length:
            raise Refusal(CKR.SIGNATURE_LEN_RANGE, f"a signature has {length} bytes")
        message = self._message.finish()
        if self._scheme is None:
            try:
                self._key.verify(signature, message)
            except InvalidSignature:
                raise Refusal(CKR.SIGNATURE_INVALID) from None
            return
        prehashed, context = self._scheme
        public = self._key.public_bytes_raw()
        if not self._curve.verify(public, signature, message, context, prehashed=prehashed):
            raise Refusal(CKR.SIGNATURE_INVALID)


def _curve(small: bool) -> rfc8032.Curve:  # noqa: FBT001 - one of two
    return rfc8032.ED25519 if small else rfc8032.ED448


def _scheme(parameter: Parameter, *, pure: bool, small: bool) -> Scheme:
    """Choose the scheme by CK_EDDSA_PARAMS and the way in which the curve was named."""
    match parameter:
        case None | b"":
            return None
        case (int(prehashed), bytes() | None as context):
            pass
        case _:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_EDDSA_PARAMS expected")
    if prehashed not in (0, 1) or len(context or b"") > _MAX_CONTEXT:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, "no such flag, or too long a context")
    if (pure or not small) and not prehashed and not context:
        return None
    return bool(prehashed), context or b""


class Eddsa(Mechanism):
    """EdDSA in the five schemes of RFC 8032; the parameter is CK_EDDSA_PARAMS, or none."""

    flags = CKF.SIGN | CKF.VERIFY | _CURVES
    key_types = (CKK.EC_EDWARDS,)

    def sign(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a signature."""
        if not isinstance(key, keys.EdwardsPrivate):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an Edwards private key is needed")
        small = isinstance(key.key, ed25519.Ed25519PrivateKey)
        return EddsaSigner(key, _scheme(parameter, pure=key.pure, small=small))

    def verify(self, key: Material, parameter: Parameter) -> Verifier:
        """Begin a verification."""
        if not isinstance(key, keys.EdwardsPublic):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an Edwards public key is needed")
        small = isinstance(key.key, ed25519.Ed25519PublicKey)
        return EddsaVerifier(key, _scheme(parameter, pure=key.pure, small=small))


class PairGeneration(Mechanism):
    """Edwards key pairs."""

    flags = CKF.GENERATE_KEY_PAIR | _CURVES
    key_types = (CKK.EC_EDWARDS,)

    def generate_pair(
        self, wanted: dict[int, bytes], parameter: Parameter
    ) -> tuple[dict[int, bytes], dict[int, bytes], Material]:
        """Make a pair on the curve that CKA_EC_PARAMS names."""
        no_parameter(parameter)
        private = keys.generate(wanted[CKA.EC_PARAMS])
        hidden = {
            CKA.EC_PARAMS: wanted[CKA.EC_PARAMS],
            **keys.private_attributes(private.key),
        }
        return keys.public_attributes(private.public().key), hidden, private


MECHANISMS = (
    PairGeneration(CKM.EC_EDWARDS_KEY_PAIR_GEN, _SIZES),
    Eddsa(CKM.EDDSA, _SIZES),
)

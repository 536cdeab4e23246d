"""Edwards curve keys as attributes and as loaded keys (PKCS#11 3.2 §6.3.5, §6.3.6)."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKR

from .curves import bare_of, identified, named, unknown

PrivateKey = ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
PublicKey = ed25519.Ed25519PublicKey | ed448.Ed448PublicKey

ED25519, ED448 = "edwards25519", "edwards448"
_LENGTHS = {ED25519: 32, ED448: 57}
MIN_BITS, MAX_BITS = 255, 448

# Keys named by their curve follow RFC 8032, where a parameter always names a scheme; those named
# by an object identifier sign purely until a parameter asks for more (RFC 8410, §6.3.16).
_BY_CURVE = {named(ED25519): ED25519, named(ED448): ED448}
_BY_IDENTIFIER = {
    identified("1.3.101.112"): ED25519,
    identified("1.3.101.113"): ED448,
    # What GnuPG and pkcs11-tool call Ed25519.
    identified("1.3.6.1.4.1.11591.15.1"): ED25519,
}
_PARAMETERS = {ED25519: identified("1.3.101.112"), ED448: identified("1.3.101.113")}


@dataclass(frozen=True, slots=True)
class EdwardsPrivate:
    """A private key; `pure` is true if an empty parameter means the pure scheme."""

    key: PrivateKey
    pure: bool

    def public(self) -> "EdwardsPublic":
        """Give the public key."""
        return EdwardsPublic(self.key.public_key(), self.pure)


@dataclass(frozen=True, slots=True)
class EdwardsPublic:
    """A public key; `pure` is true if an empty parameter means the pure scheme."""

    key: PublicKey
    pure: bool

    def info(self) -> bytes:
        """Give the SubjectPublicKeyInfo."""
        return self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def generate(parameters: bytes) -> EdwardsPrivate:
    """Generate a key on the curve that CKA_EC_PARAMS names."""
    curve, pure = _curve(parameters)
    maker = ed25519.Ed25519PrivateKey if curve == ED25519 else ed448.Ed448PrivateKey
    return EdwardsPrivate(maker.generate(), pure)


def load_public(attributes: dict[int, bytes]) -> EdwardsPublic:
    """Load the public key; CKR_ATTRIBUTE_VALUE_INVALID if it is no point."""
    curve, pure = _curve(attributes[CKA.EC_PARAMS])
    point = bare_of(_LENGTHS[curve], attributes[CKA.EC_POINT])
    loader = ed25519.Ed25519PublicKey if curve == ED25519 else ed448.Ed448PublicKey
    try:
        return EdwardsPublic(loader.from_public_bytes(point), pure)
    except ValueError as error:
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, str(error)) from None


def load_private(attributes: dict[int, bytes]) -> EdwardsPrivate:
    """Load the private key; CKR_ATTRIBUTE_VALUE_INVALID if it has another length."""
    curve, pure = _curve(attributes[CKA.EC_PARAMS])
    value = bare_of(_LENGTHS[curve], attributes[CKA.VALUE])
    loader = ed25519.Ed25519PrivateKey if curve == ED25519 else ed448.Ed448PrivateKey
    return EdwardsPrivate(loader.from_private_bytes(value), pure)


def parameters_of(key: PrivateKey) -> bytes:
    """Give CKA_EC_PARAMS of a key that comes from outside, which RFC 8410 describes."""
    return _PARAMETERS[ED25519 if isinstance(key, ed25519.Ed25519PrivateKey) else ED448]


def public_attributes(key: PublicKey) -> dict[int, bytes]:
    """Give the attributes of a public key's material."""
    return {CKA.EC_POINT: key.public_bytes_raw()}


def private_attributes(key: PrivateKey) -> dict[int, bytes]:
    """Give the attributes of a private key's material."""
    return {CKA.VALUE: key.private_bytes_raw()}


def complete_public(attributes: dict[int, bytes]) -> None:
    """Check an imported public key, and write its point as the standard wants it."""
    public = load_public(attributes)
    attributes.update(public_attributes(public.key))
    attributes[CKA.PUBLIC_KEY_INFO] = public.info()


def complete_private(attributes: dict[int, bytes]) -> None:
    """Check an imported private key and add what follows from it."""
    private = load_private(attributes)
    attributes.update(private_attributes(private.key))
    attributes[CKA.PUBLIC_KEY_INFO] = private.public().info()


def _curve(parameters: bytes) -> tuple[str, bool]:
    if parameters in _BY_CURVE:
        return _BY_CURVE[parameters], False
    if parameters in _BY_IDENTIFIER:
        return _BY_IDENTIFIER[parameters], True
    raise unknown(parameters)

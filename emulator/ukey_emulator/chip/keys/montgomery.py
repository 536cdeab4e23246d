"""Montgomery curve keys as attributes and as loaded keys (PKCS#11 3.2 §6.3.7, §6.3.8)."""

from cryptography.hazmat.primitives.asymmetric import x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA

from .curves import bare_of, identified, named, unknown

PrivateKey = x25519.X25519PrivateKey | x448.X448PrivateKey
PublicKey = x25519.X25519PublicKey | x448.X448PublicKey

_X25519, _X448 = "curve25519", "curve448"
_LENGTHS = {_X25519: 32, _X448: 56}
MIN_BITS, MAX_BITS = 255, 448

_CURVES = {
    named(_X25519): _X25519,
    named(_X448): _X448,
    identified("1.3.101.110"): _X25519,
    identified("1.3.101.111"): _X448,
    # What GnuPG and pkcs11-tool call Curve25519.
    identified("1.3.6.1.4.1.3029.1.5.1"): _X25519,
    # The name with the length that pkcs11-tool 0.23 gives it.
    b"\x13\x0b" + _X25519.encode(): _X25519,
}
_PARAMETERS = {_X25519: identified("1.3.101.110"), _X448: identified("1.3.101.111")}


def generate(parameters: bytes) -> PrivateKey:
    """Generate a key on the curve that CKA_EC_PARAMS names."""
    if _curve(parameters) == _X25519:
        return x25519.X25519PrivateKey.generate()
    return x448.X448PrivateKey.generate()


def load_public(attributes: dict[int, bytes]) -> PublicKey:
    """Load the public key; CKR_ATTRIBUTE_VALUE_INVALID if it has another length."""
    curve = _curve(attributes[CKA.EC_PARAMS])
    point = bare_of(_LENGTHS[curve], attributes[CKA.EC_POINT])
    if curve == _X25519:
        return x25519.X25519PublicKey.from_public_bytes(point)
    return x448.X448PublicKey.from_public_bytes(point)


def load_private(attributes: dict[int, bytes]) -> PrivateKey:
    """Load the private key; CKR_ATTRIBUTE_VALUE_INVALID if it has another length."""
    curve = _curve(attributes[CKA.EC_PARAMS])
    value = bare_of(_LENGTHS[curve], attributes[CKA.VALUE])
    if curve == _X25519:
        return x25519.X25519PrivateKey.from_private_bytes(value)
    return x448.X448PrivateKey.from_private_bytes(value)


def exchange(private: PrivateKey, point: bytes) -> bytes:
    """Give the common secret (RFC 7748 §6); ValueError if the other's point is none."""
    try:
        if isinstance(private, x25519.X25519PrivateKey):
            point = bare_of(_LENGTHS[_X25519], point)
            return private.exchange(x25519.X25519PublicKey.from_public_bytes(point))
        point = bare_of(_LENGTHS[_X448], point)
        return private.exchange(x448.X448PublicKey.from_public_bytes(point))
    except Refusal as refusal:
        raise ValueError(refusal.why) from None


def parameters_of(key: PrivateKey) -> bytes:
    """Give CKA_EC_PARAMS of a key that comes from outside, which RFC 8410 describes."""
    return _PARAMETERS[_X25519 if isinstance(key, x25519.X25519PrivateKey) else _X448]


def public_attributes(key: PublicKey) -> dict[int, bytes]:
    """Give the attributes of a public key's material."""
    return {CKA.EC_POINT: key.public_bytes_raw()}


def private_attributes(key: PrivateKey) -> dict[int, bytes]:
    """Give the attributes of a private key's material."""
    return {CKA.VALUE: key.private_bytes_raw()}


def complete_public(attributes: dict[int, bytes]) -> None:
    """Check an imported public key, and write its point as the standard wants it."""
    key = load_public(attributes)
    attributes.update(public_attributes(key))
    attributes[CKA.PUBLIC_KEY_INFO] = _info(key)


def complete_private(attributes: dict[int, bytes]) -> None:
    """Check an imported private key and add what follows from it."""
    key = load_private(attributes)
    attributes.update(private_attributes(key))
    attributes[CKA.PUBLIC_KEY_INFO] = _info(key.public_key())


def _info(key: PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _curve(parameters: bytes) -> str:
    try:
        return _CURVES[parameters]
    except KeyError:
        raise unknown(parameters) from None

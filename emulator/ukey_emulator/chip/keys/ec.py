"""Elliptic curve keys as attributes and as loaded keys (PKCS#11 3.2 §6.3)."""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_emulator.chip.objects.kinds import as_integer
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKR

_OCTET_STRING = 0x04
_LONG_LENGTH = 0x80

# CKA_EC_PARAMS as the DER of an object identifier → the curve.
CURVES: dict[bytes, ec.EllipticCurve] = {
    bytes.fromhex("06082a8648ce3d030107"): ec.SECP256R1(),
    bytes.fromhex("06052b81040022"): ec.SECP384R1(),
    bytes.fromhex("06052b81040023"): ec.SECP521R1(),
}
MIN_BITS = 256
MAX_BITS = 521


def curve_of(parameters: bytes) -> ec.EllipticCurve:
    """Find the curve that CKA_EC_PARAMS names; CKR_CURVE_NOT_SUPPORTED for another."""
    try:
        return CURVES[parameters]
    except KeyError:
        raise Refusal(CKR.CURVE_NOT_SUPPORTED, f"curve {parameters.hex()}") from None


def parameters_of(curve: ec.EllipticCurve) -> bytes:
    """Give CKA_EC_PARAMS of a curve; CKR_CURVE_NOT_SUPPORTED for one that the key has not."""
    for parameters, known in CURVES.items():
        if known.name == curve.name:
            return parameters
    raise Refusal(CKR.CURVE_NOT_SUPPORTED, f"curve {curve.name}")


def generate(parameters: bytes) -> ec.EllipticCurvePrivateKey:
    """Generate a key on the named curve."""
    return ec.generate_private_key(curve_of(parameters))


def load_public(attributes: dict[int, bytes]) -> ec.EllipticCurvePublicKey:
    """Load the public key; CKR_ATTRIBUTE_VALUE_INVALID if the point is not on the curve."""
    curve = curve_of(attributes[CKA.EC_PARAMS])
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(
            curve, bare_point(attributes[CKA.EC_POINT])
        )
    except ValueError as error:
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, str(error)) from None


def load_private(attributes: dict[int, bytes]) -> ec.EllipticCurvePrivateKey:
    """Load the private key; CKR_ATTRIBUTE_VALUE_INVALID if the number is outside its range."""
    curve = curve_of(attributes[CKA.EC_PARAMS])
    try:
        return ec.derive_private_key(as_integer(attributes[CKA.VALUE]), curve)
    except ValueError as error:
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, str(error)) from None


def public_attributes(key: ec.EllipticCurvePublicKey) -> dict[int, bytes]:
    """Give the attributes of a public key's material."""
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return {CKA.EC_POINT: _octet_string(point)}


def private_attributes(key: ec.EllipticCurvePrivateKey) -> dict[int, bytes]:
    """Give the attributes of a private key's material."""
    size = (key.key_size + 7) // 8
    return {CKA.VALUE: key.private_numbers().private_value.to_bytes(size, "big")}


def complete_public(attributes: dict[int, bytes]) -> None:
    """Check an imported public key, and write its point as the standard wants it."""
    key = load_public(attributes)
    attributes.update(public_attributes(key))
    attributes[CKA.PUBLIC_KEY_INFO] = key.public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )


def complete_private(attributes: dict[int, bytes]) -> None:
    """Check an imported private key and add what follows from it."""
    key = load_private(attributes)
    attributes[CKA.PUBLIC_KEY_INFO] = key.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )


def _octet_string(value: bytes) -> bytes:
    length = len(value)
    head = bytes([length]) if length < _LONG_LENGTH else bytes([_LONG_LENGTH | 1, length])
    return bytes([_OCTET_STRING]) + head + value


def bare_point(value: bytes) -> bytes:
    """Take the point out of its OCTET STRING, or as it is, which old programs send."""
    for head in (2, 3):
        if _octet_string(value[head:]) == value:
            return value[head:]
    return value

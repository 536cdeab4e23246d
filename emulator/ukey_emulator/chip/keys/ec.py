"""Elliptic curve keys as attributes and as loaded keys (PKCS#11 3.2 §6.3)."""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_emulator.chip.objects.kinds import as_integer
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKR

from .curves import identified, named, octet_string, unknown

_NAMES: tuple[tuple[ec.EllipticCurve, str, tuple[str, ...]], ...] = (
    (ec.SECP192R1(), "1.2.840.10045.3.1.1", ("secp192r1", "prime192v1", "P-192")),
    (ec.SECP224R1(), "1.3.132.0.33", ("secp224r1", "P-224")),
    (ec.SECP256R1(), "1.2.840.10045.3.1.7", ("secp256r1", "prime256v1", "P-256")),
    (ec.SECP384R1(), "1.3.132.0.34", ("secp384r1", "P-384")),
    (ec.SECP521R1(), "1.3.132.0.35", ("secp521r1", "P-521")),
    (ec.SECP256K1(), "1.3.132.0.10", ("secp256k1",)),
    (ec.BrainpoolP256R1(), "1.3.36.3.3.2.8.1.1.7", ("brainpoolP256r1",)),
    (ec.BrainpoolP384R1(), "1.3.36.3.3.2.8.1.1.11", ("brainpoolP384r1",)),
    (ec.BrainpoolP512R1(), "1.3.36.3.3.2.8.1.1.13", ("brainpoolP512r1",)),
)
_IDENTIFIED = {curve.name: identified(dotted) for curve, dotted, _ in _NAMES}

# CKA_EC_PARAMS, by object identifier or by name → the curve.
CURVES: dict[bytes, ec.EllipticCurve] = {
    parameters: curve
    for curve, dotted, names in _NAMES
    for parameters in (identified(dotted), *map(named, names))
}
MIN_BITS = min(curve.key_size for curve in CURVES.values())
MAX_BITS = max(curve.key_size for curve in CURVES.values())


def curve_of(parameters: bytes) -> ec.EllipticCurve:
    """Find the curve that CKA_EC_PARAMS names.

    CKR_CURVE_NOT_SUPPORTED for another, CKR_DOMAIN_PARAMS_INVALID for what names none.
    """
    try:
        return CURVES[parameters]
    except KeyError:
        raise unknown(parameters) from None


def parameters_of(curve: ec.EllipticCurve) -> bytes:
    """Give CKA_EC_PARAMS of a curve; CKR_CURVE_NOT_SUPPORTED for one that the key has not."""
    try:
        return _IDENTIFIED[curve.name]
    except KeyError:
        raise Refusal(CKR.CURVE_NOT_SUPPORTED, f"curve {curve.name}") from None


def generate(parameters: bytes) -> ec.EllipticCurvePrivateKey:
    """Generate a key on the named curve."""
    return ec.generate_private_key(curve_of(parameters))


def load_public(attributes: dict[int, bytes]) -> ec.EllipticCurvePublicKey:
    """Load the public key; CKR_ATTRIBUTE_VALUE_INVALID if the point is not on the curve."""
    curve = curve_of(attributes[CKA.EC_PARAMS])
    try:
        return point_of(curve, attributes[CKA.EC_POINT])
    except ValueError as error:
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, str(error)) from None


def point_of(curve: ec.EllipticCurve, value: bytes) -> ec.EllipticCurvePublicKey:
    """Read a point, compressed or not, in an OCTET STRING or bare; ValueError if it is none.

    Only the length tells a bare point from a string: any point may begin like one.
    """
    size = (curve.key_size + 7) // 8
    for length in (2 * size + 1, size + 1):
        if value == octet_string(value[-length:]):
            value = value[-length:]
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, value)


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
    return {CKA.EC_POINT: octet_string(point)}


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

"""Private keys as PKCS#8, which is how they are wrapped (PKCS#11 3.2 §6.7)."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa as subgroup
from cryptography.hazmat.primitives.asymmetric import ec as curve
from cryptography.hazmat.primitives.asymmetric import rsa as factoring
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKK, CKR

from . import der, dsa, ec, edwards, mldsa, mlkem, montgomery, rsa


def encode(material: object) -> bytes:
    """Give a private key as PKCS#8; CKR_KEY_NOT_WRAPPABLE for what is none."""
    if isinstance(material, mldsa.MlDsaPrivate | mlkem.MlKemPrivate):
        return material.encode()
    if isinstance(material, edwards.EdwardsPrivate):
        material = material.key
    kinds = factoring.RSAPrivateKey | subgroup.DSAPrivateKey | curve.EllipticCurvePrivateKey
    if not isinstance(material, kinds | edwards.PrivateKey | montgomery.PrivateKey):
        raise Refusal(CKR.KEY_NOT_WRAPPABLE, "only secret and private keys are wrapped")
    return material.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def cut(data: bytes) -> bytes:
    """Take off what stands behind the DER of a structure (§6.11.4: zeros fill it up)."""
    if len(data) < 2:  # noqa: PLR2004 - a tag and a length
        return data
    head, length = 2, data[1]
    if length & 0x80:
        head += length & 0x7F
        length = int.from_bytes(data[2:head], "big")
    return data[: head + length]


def decode(data: bytes) -> tuple[int, dict[int, bytes]]:
    """Read PKCS#8: give key type and attributes; CKR_WRAPPED_KEY_INVALID if it is none."""
    lattice = _decode_lattice(data)
    if lattice is not None:
        return lattice
    try:
        key = load_der_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Refusal(CKR.WRAPPED_KEY_INVALID, str(error)) from None
    return describe(key)


def describe(key: object) -> tuple[int, dict[int, bytes]]:
    """Give key type and attributes of a loaded key; CKR_WRAPPED_KEY_INVALID for other types."""
    if isinstance(key, factoring.RSAPrivateKey):
        return CKK.RSA, rsa.private_attributes(key)
    if isinstance(key, subgroup.DSAPrivateKey):
        return CKK.DSA, dsa.private_attributes(key)
    if isinstance(key, curve.EllipticCurvePrivateKey):
        parameters = ec.parameters_of(key.curve)
        return CKK.EC, {CKA.EC_PARAMS: parameters, **ec.private_attributes(key)}
    if isinstance(key, edwards.PrivateKey):
        parameters = edwards.parameters_of(key)
        return CKK.EC_EDWARDS, {CKA.EC_PARAMS: parameters, **edwards.private_attributes(key)}
    if isinstance(key, montgomery.PrivateKey):
        parameters = montgomery.parameters_of(key)
        return CKK.EC_MONTGOMERY, {CKA.EC_PARAMS: parameters, **montgomery.private_attributes(key)}
    raise Refusal(CKR.WRAPPED_KEY_INVALID, "the key is of a type that is not kept")


def _decode_lattice(data: bytes) -> tuple[int, dict[int, bytes]] | None:
    """Read a key of ML-DSA or ML-KEM, of which the library does not know every form."""
    try:
        identifier, key = der.read_private_key_info(data)
        for key_type, family in ((CKK.ML_DSA, mldsa.FAMILY), (CKK.ML_KEM, mlkem.FAMILY)):
            attributes = family.decode(identifier, key)
            if attributes is not None:
                return key_type, attributes
    except ValueError as error:
        raise Refusal(CKR.WRAPPED_KEY_INVALID, str(error)) from None
    return None

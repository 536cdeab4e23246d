"""Keys as PIV names and encodes them (SP 800-78-4 table 6-2; the larger RSA keys are Yubico's)."""

import hashlib
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from ukey_client.errors import KeyUnsuitable
from ukey_client.token.piv import tlv
from ukey_client.token.signing import digest_info, require_known

_RSA: Final = {1024: 0x06, 2048: 0x07, 3072: 0x05, 4096: 0x16}
_CURVES: Final[dict[str, tuple[int, type[ec.EllipticCurve]]]] = {
    "secp256r1": (0x11, ec.SECP256R1),
    "secp384r1": (0x14, ec.SECP384R1),
}
_BY_ALGORITHM: Final = dict(_CURVES.values())
_MODULUS, _EXPONENT, _POINT = 0x81, 0x82, 0x86


def algorithm_of(key: CertificatePublicKeyTypes) -> int:
    """Give the algorithm identifier of a key; KeyUnsuitable if PIV has none for it."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA:
        return _RSA[key.key_size]
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name][0]
    kind = key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__
    raise KeyUnsuitable(f"{kind}（PIV 没有这种算法）")


def public_key(algorithm: int, encoded: bytes) -> CertificatePublicKeyTypes:
    """Read a public key as GENERATE gives it (7F49 taken off); KeyUnsuitable if it is odd."""
    try:
        parts = dict(tlv.parse(encoded))
        if algorithm in _BY_ALGORITHM:
            curve = _BY_ALGORITHM[algorithm]()
            return ec.EllipticCurvePublicKey.from_encoded_point(curve, parts[_POINT])
        modulus, exponent = (int.from_bytes(parts[tag], "big") for tag in (_MODULUS, _EXPONENT))
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except (ValueError, KeyError) as error:
        raise KeyUnsuitable(f"算法 {algorithm:02X}") from error


def identifier_of(key: CertificatePublicKeyTypes) -> bytes:
    """SHA-1 of the SubjectPublicKey bits: by this a key is known, wherever it lies."""
    return x509.SubjectKeyIdentifier.from_public_key(key).digest


def block_to_sign(key: CertificatePublicKeyTypes, data: bytes, digest: str) -> bytes:
    """Give what the card must be sent: the card itself neither hashes nor pads.

    For RSA the whole block of EMSA-PKCS1-v1_5 (RFC 8017 §9.2), for ECDSA the digest, as long as
    the order of the group (FIPS 186-5 §6.4.1: the leftmost bits).
    """
    if isinstance(key, rsa.RSAPublicKey):
        tail = b"\0" + digest_info(data, digest)
        return b"\0\1" + tail.rjust(key.key_size // 8 - 2, b"\xff")
    if isinstance(key, ec.EllipticCurvePublicKey):
        require_known(digest)
        size = (key.curve.key_size + 7) // 8
        return hashlib.new(digest, data).digest()[:size].rjust(size, b"\0")
    raise KeyUnsuitable(type(key).__name__)

"""Public keys as cards give them (NIST SP 800-73-5 Part 2 §3.3.2, table 11)."""

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_emulator.card import tlv

from .held import PublicKey

_MODULUS, _EXPONENT, _POINT = 0x81, 0x82, 0x86


def encode(key: PublicKey) -> bytes:
    """Give modulus and exponent, or the point: uncompressed, or as RFC 8032 and 7748 have it."""
    match key:
        case rsa.RSAPublicKey():
            numbers = key.public_numbers()
            modulus = numbers.n.to_bytes(key.key_size // 8)
            exponent = numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8)
            return tlv.pack(_MODULUS, modulus) + tlv.pack(_EXPONENT, exponent)
        case ec.EllipticCurvePublicKey():
            point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            return tlv.pack(_POINT, point)
        case _:
            return tlv.pack(_POINT, key.public_bytes_raw())

"""What a private key does in GENERAL AUTHENTICATE (NIST SP 800-73-5 Part 2 §3.2.4, Appendix A)."""

from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519

from ukey_emulator.card.status import SW, CardRefusal
from ukey_emulator.chip import Refusal, keys
from ukey_emulator.chip.keys.edwards import EdwardsPrivate
from ukey_emulator.chip.keys.rsa import private_power
from ukey_emulator.chip.mechanisms.ecdh import common_secret
from ukey_emulator.chip.mechanisms.messages import PREHASHED
from ukey_emulator.chip.objects import Object
from ukey_emulator.chip.objects.kinds import ULONG
from ukey_emulator.terms import CKA, CKM

_UNCOMPRESSED = 0x04
_CURVE25519_BITS = 255


def respond(key: Object, challenge: bytes) -> bytes:
    """Answer a challenge: sign it, or decipher it, which for RSA is one and the same.

    RSA takes a block as long as the modulus, that the program has padded; ECDSA a digest no
    longer than the curve, and gives DER; Ed25519 the message. 6A80 for a challenge that the key
    cannot take, 6985 for a key that may not be used so.
    """
    match keys.load(key):
        case rsa.RSAPrivateKey() as material:
            _require(key, CKM.RSA_X_509, CKA.SIGN, CKA.DECRYPT)
            return _raise(material, challenge)
        case ec.EllipticCurvePrivateKey() as material:
            _require(key, CKM.ECDSA, CKA.SIGN)
            return _sign(material, challenge)
        case EdwardsPrivate(material):
            _require(key, CKM.EDDSA, CKA.SIGN)
            return material.sign(challenge)
        case _:
            raise CardRefusal(SW.INCORRECT_DATA, "this key only agrees on secrets")


def agree(key: Object, point: bytes) -> bytes:
    """Give the secret that the key shares with the owner of a point.

    The point is uncompressed, or as RFC 7748 has it; what is given is the x coordinate. 6A80 for a
    point that is not on the curve or leads to no secret, 6985 for a key that may not be used so.
    """
    material = keys.load(key)
    match material:
        case ec.EllipticCurvePrivateKey():
            length = 1 + 2 * _bytes(material.key_size)
            fits = len(point) == length and point[0] == _UNCOMPRESSED
        case x25519.X25519PrivateKey():
            fits = len(point) == _bytes(_CURVE25519_BITS)
        case _:
            fits = False
    if not fits:
        raise CardRefusal(SW.INCORRECT_DATA, "no point that this key could take")
    _require(key, CKM.ECDH1_DERIVE, CKA.DERIVE)
    try:
        return common_secret(material, point)
    except Refusal as refusal:
        raise CardRefusal(SW.INCORRECT_DATA, refusal.why) from None


def _raise(key: rsa.RSAPrivateKey, block: bytes) -> bytes:
    length = _bytes(key.key_size)
    if len(block) != length:
        raise CardRefusal(SW.INCORRECT_DATA, f"a block has {length} bytes")
    number = int.from_bytes(block)
    if number >= key.public_key().public_numbers().n:
        raise CardRefusal(SW.INCORRECT_DATA, "the block is not below the modulus")
    return private_power(key, number).to_bytes(length)


def _sign(key: ec.EllipticCurvePrivateKey, digest: bytes) -> bytes:
    length = _bytes(key.key_size)
    if not 0 < len(digest) <= length:
        raise CardRefusal(SW.INCORRECT_DATA, f"a digest has up to {length} bytes")
    # Zeros in front of a shorter one do not change its number (FIPS 186-5 §6.4.1).
    return key.sign(digest.rjust(length, b"\0"), ec.ECDSA(PREHASHED[length]))


def _bytes(bits: int) -> int:
    return (bits + 7) // 8


def _require(key: Object, mechanism: CKM, *permissions: CKA) -> None:
    """Hold to what the key's attributes say, as PKCS#11 programs have to."""
    if not any(map(key.flag, permissions)):
        raise CardRefusal(SW.CONDITIONS_NOT_SATISFIED, f"no CKA_{permissions[0].name}")
    allowed = key.attributes.get(CKA.ALLOWED_MECHANISMS)
    if allowed and mechanism not in {kind for (kind,) in ULONG.iter_unpack(allowed)}:
        raise CardRefusal(SW.CONDITIONS_NOT_SATISFIED, "CKA_ALLOWED_MECHANISMS leaves it out")

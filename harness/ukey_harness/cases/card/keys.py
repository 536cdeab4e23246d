"""Keys of a PIV card: making and finding them, signing with them, checking what they signed."""

import hashlib
from collections.abc import Callable
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import load_der_x509_certificate

from ukey_harness.cases.card.piv import (
    AUTHENTICATE,
    GENERATE,
    METADATA,
    content,
    manage,
    may_write,
)
from ukey_harness.cases.card.stand import CardStand
from ukey_harness.cases.case import NotApplicable, Unprepared
from ukey_harness.pcsc import Answer, Connection
from ukey_harness.pcsc.tlv import tlv, value

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
AUTH, SIGN, AGREE, CARD = 0x9A, 0x9C, 0x9D, 0x9E
RETIRED_20 = 0x95
CERTIFICATES = {AUTH: 0x5FC105, SIGN: 0x5FC10A, AGREE: 0x5FC10B, CARD: 0x5FC101}
MESSAGE = b"ukeylab conformance case"
# DigestInfo of SHA-256 (RFC 8017 §9.2, note 1).
_DIGEST_INFO = bytes.fromhex("3031300D060960864801650304020105000420")


class Algorithm(IntEnum):
    """Asymmetric algorithms by the numbers of SP 800-78-5 table 9."""

    RSA_3072 = 0x05
    RSA_1024 = 0x06
    RSA_2048 = 0x07
    P256 = 0x11
    P384 = 0x14


RSA_BITS = {Algorithm.RSA_1024: 1024, Algorithm.RSA_2048: 2048, Algorithm.RSA_3072: 3072}
CURVES: dict[Algorithm, Callable[[], ec.EllipticCurve]] = {
    Algorithm.P256: ec.SECP256R1,
    Algorithm.P384: ec.SECP384R1,
}
HASHES = {Algorithm.P256: "sha256", Algorithm.P384: "sha384"}


def generate(stand: CardStand, slot: int, algorithm: int) -> Answer:
    """GENERATE ASYMMETRIC KEY PAIR (§3.3.2)."""
    may_write(stand)
    request = tlv(0xAC, tlv(0x80, bytes([algorithm])))
    return stand.ask(GENERATE, 0x00, slot, request)


def public_key(algorithm: Algorithm, template: bytes) -> PublicKey | None:
    """Return the key of a public key template (tag 7F49); None where it is none."""
    try:
        if algorithm in CURVES:
            point = value(template, 0x7F49, 0x86)
            curve = CURVES[algorithm]()
            return ec.EllipticCurvePublicKey.from_encoded_point(curve, point) if point else None
        modulus, exponent = (value(template, 0x7F49, tag) for tag in (0x81, 0x82))
        if modulus is None or exponent is None:
            return None
        numbers = int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big")
        key = rsa.RSAPublicNumbers(*numbers).public_key()
    except ValueError:
        return None
    return key if key.key_size == RSA_BITS[algorithm] else None


def algorithm_of(key: PublicKey) -> Algorithm | None:
    """Return the number of a public key's algorithm; None for one that PIV has none for."""
    if isinstance(key, rsa.RSAPublicKey):
        return next((each for each, bits in RSA_BITS.items() if bits == key.key_size), None)
    return next((a for a, curve in CURVES.items() if curve().name == key.curve.name), None)


def made(stand: CardStand, slot: int, algorithm: Algorithm) -> PublicKey:
    """Make a key in a slot, which must succeed; the card is managed and not reset afterwards."""
    manage(stand)
    answer = generate(stand, slot, algorithm)
    key = public_key(algorithm, answer.data) if answer.ok else None
    if key is None:
        raise Unprepared(f"GENERATE of {algorithm.name} in {slot:02X} gave {answer.word}")
    return key


def metadata_key(stand: CardStand, slot: int) -> PublicKey | None:
    """Return the public key that the metadata of a slot tell; None where they tell none."""
    told = stand.ask(METADATA, 0x00, slot).data
    number, template = value(told, 0x01), value(told, 0x04)
    if not number or template is None or number[0] not in list(Algorithm):
        return None
    return public_key(Algorithm(number[0]), tlv(0x7F49, template))


def found(stand: CardStand, slot: int) -> PublicKey | None:
    """Return the public key of a slot, by its metadata or its certificate; None where neither."""
    key = metadata_key(stand, slot)
    certificate = value(content(stand, CERTIFICATES[slot]) or b"", 0x70)
    if key is None and certificate:
        try:
            told = load_der_x509_certificate(certificate).public_key()
        except ValueError:
            return None
        key = told if isinstance(told, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) else None
    return key


def ready(
    stand: CardStand, slot: int, algorithm: Algorithm = Algorithm.P256
) -> tuple[Algorithm, PublicKey]:
    """Return a key in a slot, made where that may be, found where not; the card is reset then."""
    if stand.subject.erasable:
        key: PublicKey | None = made(stand, slot, algorithm)
        stand.renew()
    else:
        key = found(stand, slot)
    known = algorithm_of(key) if key is not None else None
    if key is None or known is None:
        raise NotApplicable(
            f"The slot {slot:02X} shows no key, and none may be made without the owner's consent."
        )
    return known, key


def block(algorithm: Algorithm, message: bytes = MESSAGE) -> bytes:
    """Return what is given to a key to sign: a padded block for RSA, a digest for ECDSA."""
    if algorithm in HASHES:
        return hashlib.new(HASHES[algorithm], message).digest()
    info = _DIGEST_INFO + hashlib.sha256(message).digest()
    size = RSA_BITS[algorithm] // 8
    return b"\x00\x01".ljust(size - len(info) - 1, b"\xff") + b"\x00" + info


def sign_request(content_: bytes) -> bytes:
    """Return the data of GENERAL AUTHENTICATE that asks for a response to a challenge."""
    return tlv(0x7C, tlv(0x82, b"") + tlv(0x81, content_))


def sign(
    stand: CardStand, slot: int, algorithm: int, content_: bytes, card: Connection | None = None
) -> Answer:
    """GENERAL AUTHENTICATE that signs (§3.2.4)."""
    return stand.ask(AUTHENTICATE, algorithm, slot, sign_request(content_), card=card)


def signs(stand: CardStand, slot: int, key: tuple[Algorithm, PublicKey]) -> str:
    """Sign the message; "verifies" when the key says so, else what came back."""
    algorithm, public = key
    return judged(sign(stand, slot, algorithm, block(algorithm)), public)


def judged(answer: Answer, public: PublicKey) -> str:
    """Return "verifies" when an answer holds the key's signature of the message."""
    if not answer.ok:
        return answer.word
    signature = value(answer.data, 0x7C, 0x82) or b""
    return "verifies" if valid(public, signature) else "does not verify"


def valid(public: PublicKey, signature: bytes, message: bytes = MESSAGE) -> bool:
    """Tell whether a signature is one of the message by that key."""
    try:
        if isinstance(public, rsa.RSAPublicKey):
            digest = hashlib.sha256(message).digest()
            public.verify(signature, digest, PKCS1v15(), Prehashed(hashes.SHA256()))
        else:
            kind = hashes.SHA384() if public.curve.key_size > 256 else hashes.SHA256()  # noqa: PLR2004
            public.verify(signature, message, ec.ECDSA(kind))
    except InvalidSignature:
        return False
    return True


def from_der(content_: bytes) -> PublicKey | None:
    """Return a public key of a SubjectPublicKeyInfo; None where it is of another kind."""
    key = load_der_public_key(content_)
    return key if isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) else None

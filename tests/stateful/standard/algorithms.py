"""What mechanisms make of data (§6), by a library that is not the token's."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric.utils import (
    NoDigestInfo,
    Prehashed,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from . import material
from .state import Object

BLOCK = 16
RSA_BYTES = material.RSA_BYTES
RSA_ROOM = RSA_BYTES - 11  # of PKCS #1 v1.5 (§6.1.6)
SIGNATURE_BYTES = {"SHA256_HMAC": 32, "RSA_PKCS": 256, "SHA256_RSA_PKCS": 256, "ECDSA": 64}
DIGEST_BYTES = 32

Check = Callable[[bytes], bool]


@dataclass
class Result:
    """What comes out: exactly `data`, or what `check` accepts; `faults` if the input is bad.

    length: how long it is, None where that is not known either.
    """

    data: bytes | None = None
    length: int | None = None
    check: Check | None = None
    faults: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.data is not None:
            self.length = len(self.data)

    def accepts(self, output: bytes) -> bool:
        """Tell whether that can be the output."""
        if self.data is not None:
            return output == self.data
        return self.check is None or self.check(output)


def bad(*faults: str) -> Result:
    """Return the result of bad input."""
    return Result(faults=set(faults))


def _cipher(name: str, key: bytes, iv: bytes | None) -> Cipher:
    mode = modes.CBC(iv or b"")
    if name == "AES_ECB":
        mode = modes.ECB()  # noqa: S305 - the mode that was asked for
    return Cipher(algorithms.AES(key), mode)


def encrypt(name: str, key: Object, iv: bytes | None, data: bytes) -> Result:
    """Encrypt: the block modes (§6.11), and RSA with random padding (§6.1.6)."""
    if name == "RSA_PKCS":
        if len(data) > RSA_ROOM:
            return bad("DATA_LEN_RANGE")
        return Result(length=RSA_BYTES, check=lambda out: _opens(key, out, data))
    if name != "AES_CBC_PAD" and len(data) % BLOCK:
        return bad("DATA_LEN_RANGE")
    if name == "AES_CBC_PAD":
        padder = padding.PKCS7(8 * BLOCK).padder()
        data = padder.update(data) + padder.finalize()
    if not isinstance(key.secret, bytes):
        return Result(length=len(data))
    encryptor = _cipher(name, key.secret, iv).encryptor()
    return Result(encryptor.update(data) + encryptor.finalize())


def _opens(key: Object, sealed: bytes, data: bytes) -> bool:
    if key.secret != "rsa":
        return True
    return len(sealed) == RSA_BYTES and material.RSA.decrypt(sealed, rsa_padding.PKCS1v15()) == data


def decrypt(name: str, key: Object, iv: bytes | None, data: bytes) -> Result:
    """Decrypt. What RSA makes of a wrong padding is not foreseen: an error, or anything."""
    if name == "RSA_PKCS":
        return _decrypt_rsa(key, data)
    if len(data) % BLOCK or (name == "AES_CBC_PAD" and not data):
        return bad("ENCRYPTED_DATA_LEN_RANGE")
    if not isinstance(key.secret, bytes):
        return Result()
    decryptor = _cipher(name, key.secret, iv).decryptor()
    clear = decryptor.update(data) + decryptor.finalize()
    return _unpadded(clear) if name == "AES_CBC_PAD" else Result(clear)


def _decrypt_rsa(key: Object, data: bytes) -> Result:
    if len(data) != RSA_BYTES:
        return bad("ENCRYPTED_DATA_LEN_RANGE")
    if key.secret != "rsa":
        return Result()
    return Result(material.RSA.decrypt(data, rsa_padding.PKCS1v15()))


def _unpadded(clear: bytes) -> Result:
    unpadder = padding.PKCS7(8 * BLOCK).unpadder()
    try:
        return Result(unpadder.update(clear) + unpadder.finalize())
    except ValueError:
        return bad("ENCRYPTED_DATA_INVALID")


def digest(data: bytes | None) -> Result:
    """SHA-256 (§6.20); None is data that the model does not know."""
    return Result(length=DIGEST_BYTES) if data is None else Result(hashlib.sha256(data).digest())


def sign(name: str, key: Object, data: bytes) -> Result:
    """Sign: a MAC (§6.22), RSA PKCS #1 v1.5 (§6.1.6, §6.1.12), ECDSA (§6.3.12)."""
    if name == "RSA_PKCS" and len(data) > RSA_ROOM:
        return bad("DATA_LEN_RANGE")
    if name == "SHA256_HMAC" and isinstance(key.secret, bytes):
        return Result(hmac.digest(key.secret, data, "sha256"))
    if key.secret == "rsa":
        kind = hashes.SHA256() if name == "SHA256_RSA_PKCS" else NoDigestInfo()
        return Result(material.RSA.sign(data, rsa_padding.PKCS1v15(), kind))
    length = SIGNATURE_BYTES[name]
    return Result(
        length=length, check=lambda made: is_signature(name, key, data, made) is not False
    )


def recover(key: Object, signature: bytes) -> Result:
    """Take the message out of an RSA signature (§6.1.6)."""
    if key.secret != "rsa":
        return Result()
    if len(signature) != RSA_BYTES:
        return bad("SIGNATURE_LEN_RANGE")
    public = material.RSA.public_key()
    try:
        return Result(public.recover_data_from_signature(signature, rsa_padding.PKCS1v15(), None))
    except InvalidSignature:
        return bad("SIGNATURE_INVALID")


def is_signature(name: str, key: Object, data: bytes, signature: bytes) -> bool | None:
    """Tell whether a signature is right, None where the model cannot know."""
    if name == "ECDSA":
        return _is_ecdsa(data, signature) if key.secret == "ec" else None
    if key.secret is None:
        return None
    result = sign(name, key, data)
    return not result.faults and result.data == signature


def _is_ecdsa(data: bytes, signature: bytes) -> bool:
    half = len(signature) // 2
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    try:
        material.EC.public_key().verify(
            encode_dss_signature(r, s), data, ec.ECDSA(Prehashed(hashes.SHA256()))
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def wrap(wrapping: Object, key: Object) -> Result:
    """CKM_AES_KEY_WRAP (§6.16) of a secret key of whole 8 bytes, at least 16."""
    if not isinstance(wrapping.secret, bytes) or not isinstance(key.secret, bytes):
        length = key.attributes.get("VALUE_LEN")
        return Result(length=None if length is None else length + 8)
    return Result(aes_key_wrap(wrapping.secret, key.secret))


def unwrap(unwrapping: Object, wrapped: bytes) -> bytes | None:
    """Undo it; None where it is no wrapped key. KeyError where the model cannot know."""
    if not isinstance(unwrapping.secret, bytes):
        raise KeyError("the key's value is not known")
    try:
        return aes_key_unwrap(unwrapping.secret, wrapped)
    except (InvalidUnwrap, ValueError):
        return None


def agree(point: bytes) -> bytes:
    """ECDH of the pair made beforehand with another's point (§6.3.20), without a KDF."""
    other = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    return material.EC.exchange(ec.ECDH(), other)


def seal(key: Object, iv: bytes, extra: bytes, data: bytes) -> Result:
    """AES-GCM (§6.13): the ciphertext and then the tag of 16 bytes."""
    if not isinstance(key.secret, bytes):
        return Result(length=len(data) + 16)
    return Result(AESGCM(key.secret).encrypt(iv, data, extra))


def open_sealed(key: Object, iv: bytes, extra: bytes, data: bytes, tag: bytes) -> Result:
    """AES-GCM back; of a wrong tag CKR_AEAD_DECRYPT_FAILED tells, or more in general."""
    if not isinstance(key.secret, bytes):
        return Result()
    try:
        return Result(AESGCM(key.secret).decrypt(iv, data + tag, extra))
    except InvalidTag:
        return bad("AEAD_DECRYPT_FAILED", "ENCRYPTED_DATA_INVALID")

"""Sealing: private blobs under the master key, and the letterbox for when that is not open."""

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ukey_emulator.terms import CKR

from .refusal import Refusal

_NONCE_LENGTH = 12
_POINT_LENGTH = 32
_KEY = b"letterbox"


def seal(master: bytes, context: bytes, clear: bytes) -> bytes:
    """Seal under the master key; `context` is not hidden, but has to be the same to open it."""
    nonce = secrets.token_bytes(_NONCE_LENGTH)
    return nonce + AESGCM(master).encrypt(nonce, clear, context)


def unseal(master: bytes, context: bytes, sealed: bytes) -> bytes:
    """Open what `seal` has made; CKR_DEVICE_ERROR where somebody has changed it."""
    nonce, body = sealed[:_NONCE_LENGTH], sealed[_NONCE_LENGTH:]
    try:
        return AESGCM(master).decrypt(nonce, body, context)
    except (InvalidTag, ValueError):  # the latter where too few bytes are left
        raise _tampered() from None


def _tampered() -> Refusal:
    return Refusal(CKR.DEVICE_ERROR, "what is sealed has been tampered with")


@dataclass(frozen=True, slots=True)
class Pair:
    """The key pair of a letterbox, not sealed yet."""

    public: bytes
    private: bytes

    @classmethod
    def make(cls) -> "Pair":
        """Make a pair."""
        key = X25519PrivateKey.generate()
        return cls(key.public_key().public_bytes_raw(), key.private_bytes_raw())


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Takes in private blobs while no PIN has opened the master key (ECIES with X25519, HKDF).

    `public` is all that is needed to post one; `private` opens them, sealed under the master key.
    """

    public: bytes
    private: bytes

    @classmethod
    def make(cls, master: bytes, pair: Pair | None = None) -> "Letterbox":
        """Make the letterbox of a master key, with a fresh pair if none is given."""
        pair = pair or Pair.make()
        return cls(pair.public, seal(master, _KEY + pair.public, pair.private))

    @classmethod
    def of(cls, fact: bytes | None) -> "Letterbox | None":
        """Read a letterbox as the store holds it: both halves one behind the other."""
        return None if fact is None else cls(fact[:_POINT_LENGTH], fact[_POINT_LENGTH:])

    def post(self, context: bytes, clear: bytes) -> bytes:
        """Seal a blob for who opens the master key; `context` as in `seal`."""
        sender = X25519PrivateKey.generate()
        shared = sender.exchange(X25519PublicKey.from_public_bytes(self.public))
        point = sender.public_key().public_bytes_raw()
        return point + seal(self._key(shared, point), context, clear)

    def unlock(self, master: bytes) -> bytes:
        """Give the private half; CKR_DEVICE_ERROR where somebody has put another public one there.

        He could read all that is posted until the next login, which sees to this.
        """
        return unseal(master, _KEY + self.public, self.private)

    def open(self, master: bytes, context: bytes, letter: bytes) -> bytes:
        """Open what `post` has made; CKR_DEVICE_ERROR where somebody has changed it."""
        key = X25519PrivateKey.from_private_bytes(self.unlock(master))
        point, sealed = letter[:_POINT_LENGTH], letter[_POINT_LENGTH:]
        try:
            shared = key.exchange(X25519PublicKey.from_public_bytes(point))
        except ValueError:
            raise _tampered() from None
        return unseal(self._key(shared, point), context, sealed)

    def _key(self, shared: bytes, point: bytes) -> bytes:
        return HKDF(SHA256(), 32, salt=None, info=_KEY + point + self.public).derive(shared)

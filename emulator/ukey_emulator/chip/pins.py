"""PINs: what guards the master key, and how many tries are left."""

import hashlib
import secrets
from dataclasses import dataclass, replace
from enum import IntEnum

from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_wrap,
)

from ukey_emulator.terms import CKU

MASTER_LENGTH = 32
# A quarter of a millisecond: keys are made and opened by the thousand, and no number of rounds
# makes six digits hard to guess for who has the file.
ROUNDS = 1_000
_SALT_LENGTH = 16


class Role(IntEnum):
    """Who logs in (PKCS#11 3.2 §3.3); the numbers are the standard's."""

    SO = CKU.SO
    USER = CKU.USER


DEFAULT_PINS = {Role.USER: b"123456", Role.SO: b"12345678"}
"""What a PIN is where nobody has set it, on this key as on most that are PIV cards."""


@dataclass(frozen=True, slots=True)
class Lock:
    """A PIN turned into a wrapping key: `salt` and the derived `key`."""

    salt: bytes
    key: bytes

    @classmethod
    def of(cls, pin: bytes, salt: bytes | None = None) -> "Lock":
        """Derive the wrapping key of a PIN, with a fresh salt if none is given."""
        if pin.endswith(b"\0"):  # HMAC fills up with zeros, so that they would be of no matter
            pin = hashlib.sha256(pin).digest()
        salt = secrets.token_bytes(_SALT_LENGTH) if salt is None else salt
        return cls(salt, hashlib.pbkdf2_hmac("sha256", pin, salt, ROUNDS))


@dataclass(frozen=True, slots=True)
class PinRecord:
    """A PIN as the key keeps it: the master key wrapped under it, and the try counter.

    The PIN itself is nowhere: a PIN is right when it unwraps the master key.
    """

    salt: bytes
    wrapped: bytes
    tries_left: int
    tries: int

    @classmethod
    def seal(cls, lock: Lock, master: bytes, tries: int) -> "PinRecord":
        """Put the master key behind a PIN, with all its tries."""
        return cls(lock.salt, aes_key_wrap(lock.key, master), tries, tries)

    @property
    def locked(self) -> bool:
        """Whether no try is left."""
        return self.tries_left == 0

    def spent(self) -> "PinRecord":
        """Give the record with one try less."""
        return replace(self, tries_left=self.tries_left - 1)

    def refreshed(self) -> "PinRecord":
        """Give the record with all its tries."""
        return replace(self, tries_left=self.tries)

    def open(self, pin: bytes) -> bytes | None:
        """Give the master key if the PIN is right, else None."""
        try:
            return aes_key_unwrap(Lock.of(pin, self.salt).key, self.wrapped)
        except InvalidUnwrap:
            return None

"""Random numbers (PKCS#11 3.2 §5.19)."""

import secrets

from ukey_emulator.chip import Refusal
from ukey_emulator.terms import CKR

from .application import Application
from .session import Session

_MOST = 1 << 20


def C_SeedRandom(app: Application, session: Session, seed: bytes | None) -> None:
    """Refuse a seed: the key draws from the system's own source (PKCS#11 3.2 §5.19.1)."""
    if seed is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "the seed is NULL")
    raise Refusal(CKR.RANDOM_SEED_NOT_SUPPORTED)


def C_GenerateRandom(app: Application, session: Session, length: int | None) -> bytes:
    """Draw random bytes (PKCS#11 3.2 §5.19.2), at most a mebibyte at a time."""
    if length is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "the buffer is NULL")
    if length > _MOST:
        raise Refusal(CKR.ARGUMENTS_BAD, f"at most {_MOST} bytes at a time")
    return secrets.token_bytes(length)

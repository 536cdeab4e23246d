"""Random numbers (PKCS#11 3.2 §5.19)."""

import secrets
from pathlib import Path

from ukey_emulator.chip import Refusal
from ukey_emulator.terms import CKR

from .application import Application
from .session import Session
from .wire import FRAME_LIMIT

# What fits into one answer of the rack.
_MOST = FRAME_LIMIT - 4096
_SOURCE = Path("/dev/urandom")


def C_SeedRandom(app: Application, session: Session, seed: bytes | None) -> None:
    """Mix a seed into the system's own source, from which the key draws (PKCS#11 3.2 §5.19.1).

    CKR_RANDOM_SEED_NOT_SUPPORTED where the system lets no program do so.
    """
    _require_source(session)
    if seed is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "the seed is NULL")
    try:
        _SOURCE.write_bytes(seed)
    except OSError as error:
        raise Refusal(CKR.RANDOM_SEED_NOT_SUPPORTED, str(error)) from None


def C_GenerateRandom(app: Application, session: Session, length: int | None) -> bytes:
    """Draw random bytes (PKCS#11 3.2 §5.19.2); CKR_DEVICE_MEMORY for more than an answer holds."""
    _require_source(session)
    if length is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "the buffer is NULL")
    if length > _MOST:
        raise Refusal(CKR.DEVICE_MEMORY, f"at most {_MOST} bytes at a time")
    return secrets.token_bytes(length)


def _require_source(session: Session) -> None:
    """Refuse with CKR_RANDOM_NO_RNG where the key's profile leaves it without CKF_RNG."""
    if not session.chip.identity.rng:
        raise Refusal(CKR.RANDOM_NO_RNG)

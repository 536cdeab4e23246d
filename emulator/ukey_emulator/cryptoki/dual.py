"""Two operations at once (PKCS#11 3.2 §5.17)."""

from collections.abc import Callable

from ukey_emulator.chip import Refusal
from ukey_emulator.terms import CKR

from .application import Application
from .digest import C_DigestUpdate
from .encrypt import C_DecryptUpdate, C_EncryptUpdate
from .session import Session
from .sign import C_SignUpdate
from .verify import C_VerifyUpdate
from .wire import Out

Output = bytes | int | None


def C_DigestEncryptUpdate(
    app: Application, session: Session, part: bytes | None, out: Out
) -> Output:
    """Digest a part and encrypt it (PKCS#11 3.2 §5.17.1)."""
    return _going_in(app, session, "digest", C_DigestUpdate, part, out)


def C_DecryptDigestUpdate(
    app: Application, session: Session, part: bytes | None, out: Out
) -> Output:
    """Decrypt a part and digest what comes out (PKCS#11 3.2 §5.17.2)."""
    return _coming_out(app, session, "digest", C_DigestUpdate, part, out)


def C_SignEncryptUpdate(app: Application, session: Session, part: bytes | None, out: Out) -> Output:
    """Sign a part and encrypt it (PKCS#11 3.2 §5.17.3)."""
    return _going_in(app, session, "sign", C_SignUpdate, part, out)


def C_DecryptVerifyUpdate(
    app: Application, session: Session, part: bytes | None, out: Out
) -> Output:
    """Decrypt a part and verify what comes out (PKCS#11 3.2 §5.17.4)."""
    return _coming_out(app, session, "verify", C_VerifyUpdate, part, out)


Taker = Callable[[Application, Session, bytes | None], None]


def _going_in(
    app: Application, session: Session, name: str, take: Taker, part: bytes | None, out: Out
) -> Output:
    _require_dual(session)
    session.usable(name)
    result = C_EncryptUpdate(app, session, part, out)
    # A length that was only asked for, or a buffer too small, has moved nothing yet.
    if not isinstance(result, int):
        take(app, session, part)
    return result


def _coming_out(
    app: Application, session: Session, name: str, take: Taker, part: bytes | None, out: Out
) -> Output:
    _require_dual(session)
    session.usable(name)
    result = C_DecryptUpdate(app, session, part, out)
    if isinstance(result, bytes):
        take(app, session, result)
    return result


def _require_dual(session: Session) -> None:
    """Refuse where the key's profile leaves it without CKF_DUAL_CRYPTO_OPERATIONS."""
    if not session.chip.identity.dual_crypto:
        raise Refusal(CKR.FUNCTION_NOT_SUPPORTED, "the key does one operation at a time")

"""Session management (PKCS#11 3.2 §5.6)."""

import struct

from ukey_emulator.chip import PinRefusal, Refusal, Role
from ukey_emulator.terms import CKF, CKR, CKU

from .application import Application, Session, session_flags
from .operations import require_pointer

_SESSION_INFO = struct.Struct("<4Q")


def C_OpenSession(app: Application, number: int, flags: int, wanted: bool) -> int:
    """Open a session with the token in a slot (PKCS#11 3.2 §5.6.1)."""
    slot = app.slot(number)
    chip = app.chip(number)
    require_pointer(wanted)
    if not flags & CKF.SERIAL_SESSION:
        raise Refusal(CKR.SESSION_PARALLEL_NOT_SUPPORTED)
    if flags & CKF.ASYNC_SESSION:
        raise Refusal(CKR.SESSION_ASYNC_NOT_SUPPORTED)
    if not chip.initialised:
        raise Refusal(CKR.TOKEN_NOT_RECOGNIZED, "the token is not initialised")
    return app.open_session(slot, chip, writable=bool(flags & CKF.RW_SESSION)).handle


def C_CloseSession(app: Application, session: Session) -> None:
    """Close a session (PKCS#11 3.2 §5.6.2)."""
    app.close_session(session)


def C_CloseAllSessions(app: Application, number: int) -> None:
    """Close all sessions with the token in a slot (PKCS#11 3.2 §5.6.3)."""
    chip = app.slot(number).chip
    if chip is not None:
        for session in app.sessions(chip):
            app.close_session(session)


def C_GetSessionInfo(app: Application, session: Session, wanted: bool) -> bytes:
    """Tell of a session (PKCS#11 3.2 §5.6.4)."""
    require_pointer(wanted)
    return _SESSION_INFO.pack(session.slot.number, app.state(session), session_flags(session), 0)


def C_Login(app: Application, session: Session, user_type: int, pin: bytes | None) -> None:
    """Log in as user or SO, or authorise one operation (PKCS#11 3.2 §5.6.8)."""
    if user_type == CKU.CONTEXT_SPECIFIC:
        _authorise(app, session, pin)
        return
    if user_type not in (CKU.SO, CKU.USER):
        raise Refusal(CKR.USER_TYPE_INVALID, f"user type {user_type}")
    if pin is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "the PIN is NULL, and the token has no PIN pad")
    app.log_in(session.chip, Role(user_type), pin)


def _authorise(app: Application, session: Session, pin: bytes | None) -> None:
    """Let a key with CKA_ALWAYS_AUTHENTICATE do the operation that waits for it."""
    waiting = [operation for operation in session.operations.values() if not operation.authorised]
    if not waiting:
        raise Refusal(CKR.OPERATION_NOT_INITIALIZED, "no operation waits for a PIN")
    if pin is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "the PIN is NULL, and the token has no PIN pad")
    try:
        session.chip.verify_pin(Role.USER, pin)
    except PinRefusal as refusal:
        if not refusal.tries_left:
            app.log_out(session.chip)
        raise
    for operation in waiting:
        operation.authorised = True


def C_Logout(app: Application, session: Session) -> None:
    """Log out (PKCS#11 3.2 §5.6.10)."""
    app.log_out(session.chip)

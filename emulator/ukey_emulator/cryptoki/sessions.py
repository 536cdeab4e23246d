"""Session management (PKCS#11 3.2 §5.6)."""

import struct
from typing import cast

from ukey_emulator.chip import PinRefusal, Refusal, Role
from ukey_emulator.chip.mechanisms import Digester
from ukey_emulator.profiles.quirks import Quirk
from ukey_emulator.terms import CKF, CKR, CKU

from .application import STATE_LENGTH, Application
from .operations import Operation, deliver, require_data, require_pointer
from .pad import pin_of
from .session import Session
from .wire import Out

CKS_LAST_VALIDATION_OK = 1
_CANCELLED = (
    (CKF.ENCRYPT, "encrypt"),
    (CKF.DECRYPT, "decrypt"),
    (CKF.DIGEST, "digest"),
    (CKF.SIGN, "sign"),
    (CKF.SIGN_RECOVER, "sign-recover"),
    (CKF.VERIFY, "verify"),
    (CKF.VERIFY, "verify-signature"),
    (CKF.VERIFY_RECOVER, "verify-recover"),
    (CKF.FIND_OBJECTS, "search"),
    (CKF.MESSAGE_ENCRYPT, "message-encrypt"),
    (CKF.MESSAGE_DECRYPT, "message-decrypt"),
    (CKF.MESSAGE_SIGN, "message-sign"),
    (CKF.MESSAGE_VERIFY, "message-verify"),
)
# Of these a state could be; that of the other operations is never asked for (§5.6.6).
_SAVABLE = frozenset({"encrypt", "decrypt", "digest", "sign", "verify", "verify-signature"})
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
    app.close_sessions(app.slot(number))


def C_GetSessionInfo(app: Application, session: Session, wanted: bool) -> bytes:
    """Tell of a session (PKCS#11 3.2 §5.6.4)."""
    require_pointer(wanted)
    return _SESSION_INFO.pack(session.slot.number, app.state(session), session.flags, 0)


def C_Login(app: Application, session: Session, user_type: int, pin: bytes | None) -> None:
    """Log in as user or SO, or authorise one operation (PKCS#11 3.2 §5.6.8)."""
    if user_type == CKU.CONTEXT_SPECIFIC:
        _authorise(app, session, pin)
        return
    if user_type not in (CKU.SO, CKU.USER):
        raise Refusal(CKR.USER_TYPE_INVALID, f"user type {user_type}")
    role = Role(user_type)
    if app.role(session.chip) is role and Quirk.LOGIN_AGAIN in session.chip.identity.quirks:
        return
    app.require_no_login(session, role)
    app.log_in(session, role, _pin_of(app, session, role, pin))


def _pin_of(app: Application, session: Session, role: Role, given: bytes | None) -> bytes:
    """Give the PIN for a login; nobody has to type one that is of no use."""
    record = session.chip.pin(role)
    if given is None and session.chip.identity.pad and (record is None or record.locked):
        return b""
    return pin_of(app, session.chip, given)


def _authorise(app: Application, session: Session, pin: bytes | None) -> None:
    """Let a key with CKA_ALWAYS_AUTHENTICATE do the operation that waits for it."""
    operations = session.operations
    waiting = {name: each for name, each in operations.items() if not each.authorised}
    if not waiting:
        raise Refusal(CKR.OPERATION_NOT_INITIALIZED, "no operation waits for a PIN")
    if app.role(session.chip) is not Role.USER:
        raise Refusal(CKR.USER_NOT_LOGGED_IN)
    known = pin_of(app, session.chip, pin)
    try:
        session.chip.verify_pin(Role.USER, known)
    except PinRefusal as refusal:
        if refusal.tries_left:
            raise
        app.log_out(session.chip)
        # They wait on, so that the calls which go on with them say why they cannot (§4.10).
        operations.update(waiting)
        raise PinRefusal(CKR.PIN_LOCKED, 0) from refusal
    for operation in waiting.values():
        operation.authorised = True


def C_Logout(app: Application, session: Session) -> None:
    """Log out (PKCS#11 3.2 §5.6.10)."""
    app.log_out(session.chip)


def C_LoginUser(
    app: Application, session: Session, user_type: int, pin: bytes | None, name: bytes | None
) -> None:
    """Log in with a user name, which only a nameless user has here (PKCS#11 3.2 §5.6.9)."""
    if name:
        raise Refusal(CKR.USER_TYPE_INVALID, "the token has no users with names")
    C_Login(app, session, user_type, pin)


def C_SessionCancel(app: Application, session: Session, flags: int) -> None:
    """End operations, each named by its mechanism flag (PKCS#11 3.2 §5.6.5)."""
    for flag, name in _CANCELLED:
        if flags & flag:
            session.operations.pop(name, None)


def C_GetSessionValidationFlags(app: Application, session: Session, kind: int, wanted: bool) -> int:
    """Tell how operations were validated: the token claims no validation (PKCS#11 3.2 §5.6.11)."""
    require_pointer(wanted)
    if kind != CKS_LAST_VALIDATION_OK:
        raise Refusal(CKR.ARGUMENTS_BAD, f"no validation flags of type {kind}")
    return 0


def C_GetOperationState(app: Application, session: Session, out: Out) -> bytes | int:
    """Save a digest that is under way (PKCS#11 3.2 §5.6.6).

    The state is a name for a copy that the key keeps for this application. Operations with keys
    are CKR_STATE_UNSAVEABLE.
    """
    active = session.operations.keys() & _SAVABLE
    if not active:
        raise Refusal(CKR.OPERATION_NOT_INITIALIZED, "nothing to save")
    if active != {"digest"} or not session.chip.identity.saves_digests:
        raise Refusal(CKR.STATE_UNSAVEABLE, "only a digest can be saved")
    operation = session.operations["digest"]
    return deliver(out, STATE_LENGTH, lambda: app.save(session, _twin(operation)))


def C_SetOperationState(
    app: Application,
    session: Session,
    state: bytes | None,
    encryption_key: int,
    authentication_key: int,
) -> None:
    """Go on with a digest that was saved (PKCS#11 3.2 §5.6.7)."""
    saved = app.saved(session, require_data(state))
    if encryption_key or authentication_key:
        raise Refusal(CKR.KEY_NOT_NEEDED)
    session.operations = {"digest": _twin(saved)}


def _twin(operation: Operation) -> Operation:
    """Make a digest that goes on from the same place by itself."""
    context = cast("Digester", operation.context).copy()
    return Operation(context, parts=operation.parts, mechanism=operation.mechanism)


def C_AsyncComplete(app: Application, session: Session, function: bytes | None) -> None:
    """Refuse: no session here works asynchronously (PKCS#11 3.2 §5.21)."""
    raise Refusal(CKR.SESSION_ASYNC_NOT_SUPPORTED)


def C_AsyncGetID(app: Application, session: Session, function: bytes | None, wanted: bool) -> None:
    """Refuse: no session here works asynchronously (PKCS#11 3.2 §5.21)."""
    raise Refusal(CKR.SESSION_ASYNC_NOT_SUPPORTED)


def C_AsyncJoin(
    app: Application, session: Session, function: bytes | None, number: int, data: int | None
) -> None:
    """Refuse: no session here works asynchronously (PKCS#11 3.2 §5.21)."""
    raise Refusal(CKR.SESSION_ASYNC_NOT_SUPPORTED)

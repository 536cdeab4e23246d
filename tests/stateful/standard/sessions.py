"""Session management (§5.6), and the states of sessions (§3.3)."""

from .allowed import Allowed, granted, length_suffices, refused, require
from .state import Application, Object, Operation, Session, World
from .tokens import pin_faults, spend
from .values import Cell, Info, Null, Out, Reply

SERIAL, RW = 0x4, 0x2
ASYNC = 0x8
STATES = {  # login, writable → CK_STATE (§3.3)
    (None, False): 0,
    ("USER", False): 1,
    (None, True): 2,
    ("USER", True): 3,
    ("SO", True): 4,
}
CANCEL = {  # flag of C_SessionCancel → operation (§5.6.5)
    0x2: "message encrypt",
    0x4: "message decrypt",
    0x40: "find",
    0x100: "encrypt",
    0x200: "decrypt",
    0x400: "digest",
    0x800: "sign",
    0x1000: "sign recover",
    0x2000: "verify",
    0x4000: "verify recover",
}


def open_session(
    world: World, app: Application, slot: int, flags: int, context: None, notify: None, cell: Cell
) -> Allowed:
    """C_OpenSession (§5.6.1): serial only; no R/O session while the SO is logged in."""
    del context, notify
    faults = set() if slot == world.traits.slot else {"SLOT_ID_INVALID"}
    if not flags & SERIAL:
        faults.add("SESSION_PARALLEL_NOT_SUPPORTED")
    if not cell.asked:
        faults.add("ARGUMENTS_BAD")
    if app.login == "SO" and not flags & RW:
        faults.add("SESSION_READ_WRITE_SO_EXISTS")

    def follow(reply: Reply) -> None:
        handle = reply.written[0]
        require(handle != 0 and handle not in app.sessions, "handle", handle)
        app.sessions[handle] = Session(handle, bool(flags & RW))

    return granted(follow, faults=faults)


def _end(world: World, app: Application, session: Session) -> None:
    """End a session: its objects are destroyed; with the last one the login ends (§5.6.2).

    What becomes of the handles to public token objects then is not said: none is used again.
    """
    del app.sessions[session.handle]
    app.dead_sessions.append(session.handle)
    for obj in [obj for obj in world.objects if obj.session is session]:
        world.remove(obj)
    if not app.sessions:
        app.login = None
        for obj in [obj for obj in app.handles.values() if obj.private]:
            app.forget(obj)
        app.handles.clear()


def close_session(world: World, app: Application, handle: int) -> Allowed:
    """C_CloseSession (§5.6.2)."""
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    return granted(lambda _: _end(world, app, session))


def close_all_sessions(world: World, app: Application, slot: int) -> Allowed:
    """C_CloseAllSessions (§5.6.3): of this program; other programs are not touched."""
    if slot != world.traits.slot:
        return refused("SLOT_ID_INVALID")

    def follow(reply: Reply) -> None:
        del reply
        for session in list(app.sessions.values()):
            _end(world, app, session)

    return granted(follow)


def check_session_info(world: World, app: Application, session: Session, seen: dict) -> None:
    """Compare a CK_SESSION_INFO (§3.3) with the session."""
    state = STATES[app.login, session.writable]
    require(seen["slotID"] == world.traits.slot, "slot", seen["slotID"])
    require(seen["state"] == state, "state", f"{seen['state']}, not {state}")
    flags = SERIAL | (RW if session.writable else 0)
    require(seen["flags"] == flags, "flags", f"{seen['flags']:#x}, not {flags:#x}")


def get_session_info(world: World, app: Application, handle: int, info: Info) -> Allowed:
    """C_GetSessionInfo (§5.6.4)."""
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    if not info.asked:
        return refused("ARGUMENTS_BAD")
    return granted(lambda reply: check_session_info(world, app, session, reply.written[0]))


def login(  # noqa: C901 - each fault in a line
    world: World, app: Application, handle: int, user: int, pin: object
) -> Allowed:
    """C_Login (§5.6.8): all sessions of the program change their state.

    The SO cannot log in beside a R/O session. CKR_USER_TOO_MANY_TYPES may come where another
    program is logged in as the other user (§5.1.6).
    """
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    if user == 2:
        return _authorise(world, app, session, pin)
    if user not in {0, 1}:
        return refused("USER_TYPE_INVALID", *(["ARGUMENTS_BAD"] if isinstance(pin, Null) else []))
    who = "SO" if user == 0 else "USER"
    secret = world.pin(who)
    faults = pin_faults(world, secret, pin)
    if isinstance(pin, Null):
        faults.add("ARGUMENTS_BAD")
    if app.login == who:
        faults.add("USER_ALREADY_LOGGED_IN")
    elif app.login is not None:
        faults.add("USER_ANOTHER_ALREADY_LOGGED_IN")
    if secret is None:
        faults.add("USER_PIN_NOT_INITIALIZED")
    if who == "SO" and not all(each.writable for each in app.sessions.values()):
        faults.add("SESSION_READ_ONLY_EXISTS")

    def follow(reply: Reply) -> None:
        del reply
        app.login = who
        if secret is not None:
            secret.failures = 0
        world.changes += 1

    return Allowed(faults, None if faults else follow, spend(secret))


def _authorise(world: World, app: Application, session: Session, pin: object) -> Allowed:
    """C_Login with CKU_CONTEXT_SPECIFIC (§5.6.8, §4.9).

    It authorises the operation that waits. When tries run out the PIN is locked, and the user is
    logged out. CKR_OPERATION_NOT_INITIALIZED where no operation wants it.
    """
    operations = session.operations.values()
    waiting = [operation for operation in operations if operation.waiting]
    secret = world.user_pin if app.login == "USER" else None
    faults = pin_faults(world, secret, pin)
    if app.login != "USER":
        faults.add("USER_NOT_LOGGED_IN")
    if not waiting:
        faults.add("OPERATION_NOT_INITIALIZED")
    if isinstance(pin, Null):
        faults.add("ARGUMENTS_BAD")
    # One that is authorised already may be so once more.
    again = [o for o in operations if o.key is not None and o.key.flag("ALWAYS_AUTHENTICATE")]

    def follow(reply: Reply) -> None:
        del reply
        if secret is not None:
            secret.failures = 0
        for operation in waiting:
            operation.waiting = False

    def fail(reply: Reply) -> None:
        if secret is not None and reply.code in {"PIN_INCORRECT", "PIN_LOCKED"}:
            secret.failures += 1
            if world.locked(secret):
                _leave(world, app)

    right = faults <= {"OPERATION_NOT_INITIALIZED"} and again
    return Allowed(faults, follow if not faults or right else None, fail)


def login_user(
    world: World, app: Application, handle: int, user: int, pin: object, name: object
) -> Allowed:
    """C_LoginUser (§5.6.9): as C_Login where no user name is given; a token may have no names."""
    if handle not in app.sessions:
        return refused("SESSION_HANDLE_INVALID")
    allowed = login(world, app, handle, user, pin)
    if name:
        return Allowed(
            allowed.faults | {"USER_TYPE_INVALID", "ARGUMENTS_BAD"}, None, allowed.refused
        )
    return allowed


def _leave(world: World, app: Application) -> None:
    """Log a program out (§5.6.10).

    Handles to private objects die for good, private session objects are destroyed. Whether active
    operations live on is left open.
    """
    app.login = None
    for session in app.sessions.values():
        session.doubtful |= set(session.operations)
        for operation in session.operations.values():
            operation.unknown = operation.unknown or (
                operation.key is not None and operation.key.private
            )
    mine = [o for o in world.objects if o.session and o.session in app.sessions.values()]
    for obj in [obj for obj in mine if obj.private]:
        world.remove(obj)
    for obj in [obj for obj in app.handles.values() if obj.private]:
        app.forget(obj)
    world.changes += 1


def logout(world: World, app: Application, handle: int) -> Allowed:
    """C_Logout (§5.6.10)."""
    if handle not in app.sessions:
        return refused("SESSION_HANDLE_INVALID")
    if app.login is None:
        return refused("USER_NOT_LOGGED_IN")
    return granted(lambda _: _leave(world, app))


def session_cancel(world: World, app: Application, handle: int, flags: int) -> Allowed:
    """C_SessionCancel (§5.6.5): ends the operations that the flags name; others are ignored.

    Flags that name no operation have no word in the standard: none is sent.
    """
    del world
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")

    def follow(reply: Reply) -> None:
        del reply
        for flag, name in CANCEL.items():
            if flags & flag:
                session.operations.pop(name, None)

    return granted(follow)


def get_operation_state(world: World, app: Application, handle: int, out: Out) -> Allowed:
    """C_GetOperationState (§5.6.6): of the cryptographic operations that are active.

    A token may be unable to save any state; a search is no cryptographic operation. What the clause
    counts up leaves out recovery and messages: a token may see nothing in them that could be saved.
    """
    del world
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    active = {name: each for name, each in session.operations.items() if name != "find"}
    if not active:
        return refused("OPERATION_NOT_INITIALIZED")
    faults = {"STATE_UNSAVEABLE"}
    counted = {name for name in active if "recover" not in name and "message" not in name}
    if not counted:
        faults.add("OPERATION_NOT_INITIALIZED")
    if not out.asked:
        return refused("ARGUMENTS_BAD", *faults)
    if counted != {"digest"}:
        return refused(*faults)  # no token here saves more: seen to be so, not demanded
    operation = active["digest"]

    def follow(reply: Reply) -> None:
        length, data = reply.written[0]
        if out.capacity is None:
            length_suffices(length, 1)
        else:
            require(len(data) == length <= out.capacity, "length", length)
            kept = Operation(operation.mechanism, data=operation.data, parts=operation.parts)
            kept.unknown = operation.unknown
            app.states.append((data, kept))

    if out.capacity is not None and out.capacity < 64:
        faults.add("BUFFER_TOO_SMALL")
    return Allowed(faults, follow)


def set_operation_state(
    world: World, app: Application, handle: int, state: bytes, key: int, other: int
) -> Allowed:
    """C_SetOperationState (§5.6.7): a digest goes on where it was saved, and needs no key.

    What was active in the session before is replaced.
    """
    del world
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    faults = set()
    saved = next((each for data, each in app.states if data == state), None)
    if saved is None:
        faults.add("SAVED_STATE_INVALID")
    if key or other:
        faults.add("KEY_NOT_NEEDED")

    def follow(reply: Reply) -> None:
        del reply
        # Whether a search goes on beside it is not said.
        session.doubtful |= set(session.operations) & {"find"}
        session.operations = {k: o for k, o in session.operations.items() if k == "find"}
        twin = Operation(saved.mechanism, data=saved.data, parts=saved.parts)
        session.operations["digest"] = twin

    return granted(follow, faults=faults)


def key_of(app: Application, handle: int) -> Object | None:
    """Return the key behind a handle, None if it is no key or not there."""
    obj = app.object(handle)
    return obj if obj is not None and obj.key_type is not None else None


CHAPTER = {
    "OpenSession": open_session,
    "CloseSession": close_session,
    "CloseAllSessions": close_all_sessions,
    "GetSessionInfo": get_session_info,
    "Login": login,
    "LoginUser": login_user,
    "Logout": logout,
    "SessionCancel": session_cancel,
    "GetOperationState": get_operation_state,
    "SetOperationState": set_operation_state,
}

"""Encryption and decryption of messages, many under one key (§5.9, §5.11), with AES-GCM."""

from collections.abc import Callable
from functools import partial
from typing import Any

from . import algorithms
from .allowed import Allowed, Follow, length_suffices, refused, require
from .operations import begin
from .state import Application, Operation, Session, World
from .values import GcmMessage, Null, Out, Reply

TAG = 16
END_OF_MESSAGE = 1


def _doubt(session: Session, kind: str) -> Follow:
    """Return what follows from a fault: whether the process then goes on is not said (§5.9.2)."""

    def follow(reply: Reply) -> None:
        if reply.code != "BUFFER_TOO_SMALL" and kind in session.operations:
            session.doubtful.add(kind)

    return follow


def _hindrances(operation: Operation | None, *inputs: object, begun: bool) -> set[str]:
    """Tell what keeps a call from going on; `begun` is whether it belongs to a message in parts."""
    faults = set()
    if any(isinstance(e, Null) or (isinstance(e, Out) and not e.asked) for e in inputs):
        faults.add("ARGUMENTS_BAD")
    if operation is None:
        faults.add("OPERATION_NOT_INITIALIZED")
        return faults
    if operation.waiting:
        faults.add("USER_NOT_LOGGED_IN")
    if begun and not operation.parts:
        faults.add("OPERATION_NOT_INITIALIZED")
    if operation.parts and not begun:
        faults.add("OPERATION_ACTIVE")
    return faults


def message(
    kind: str,
    world: World,
    app: Application,
    handle: int,
    parameter: GcmMessage,
    extra: Any,
    data: Any,
    out: Out,
) -> Allowed:
    """C_EncryptMessage, C_DecryptMessage (§5.9.2, §5.11.2): a message in one part.

    It does not end the process, and cannot come within a message in parts.
    """
    del world
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    operation = session.operations.get(kind)
    fail = _doubt(session, kind)
    faults = _hindrances(operation, extra, data, out, begun=False)
    if faults or operation is None:
        return Allowed(faults, None, fail)
    return _out(kind, operation, parameter, extra, data, out, fail, lambda: None)


def _out(
    kind: str,
    operation: Operation,
    parameter: GcmMessage,
    extra: bytes,
    data: bytes,
    out: Out,
    fail: Follow,
    over: Callable[[], None],
) -> Allowed:
    """Give what comes of a whole message, and the tag where it is sealed, by §5.2."""
    key = operation.key
    if key is None:
        raise ValueError("a process of messages has a key")
    sealing = kind == "message encrypt"
    if sealing:
        result = algorithms.seal(key, parameter.iv, extra, data)
    else:
        result = algorithms.open_sealed(key, parameter.iv, extra, data, parameter.tag)
    if out.capacity is None:
        return Allowed(
            result.faults, lambda reply: length_suffices(reply.written[-1][0], len(data)), fail
        )
    if result.faults or out.capacity < len(data):
        short = {"BUFFER_TOO_SMALL"} if out.capacity < len(data) else set()
        return Allowed(result.faults | short, None, fail)

    def follow(reply: Reply) -> None:
        tag, (length, given) = reply.written[0], reply.written[-1]
        require(length == len(given) == len(data), "length", length)
        if sealing:
            require(result.accepts(given + tag), "data", given.hex())
        else:
            require(result.accepts(given), "data", given.hex())
        over()

    optional = {"KEY_HANDLE_INVALID", "USER_NOT_LOGGED_IN"} if operation.unknown else set()
    return Allowed(optional, follow, fail)


def message_begin(
    kind: str,
    world: World,
    app: Application,
    handle: int,
    parameter: GcmMessage,
    extra: Any,
) -> Allowed:
    """C_EncryptMessageBegin, C_DecryptMessageBegin (§5.9.3, §5.11.3)."""
    del world
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    operation = session.operations.get(kind)
    faults = _hindrances(operation, extra, begun=False)
    if faults or operation is None:
        return Allowed(faults, None, _doubt(session, kind))

    def follow(reply: Reply) -> None:
        del reply
        operation.parts, operation.data, operation.given = True, b"", 0
        operation.signature = parameter.iv + extra

    return Allowed((), follow)


def message_next(  # noqa: C901 - each fault in a line
    kind: str,
    world: World,
    app: Application,
    handle: int,
    parameter: GcmMessage,
    data: Any,
    out: Out,
    flags: int,
) -> Allowed:
    """C_EncryptMessageNext, C_DecryptMessageNext (§5.9.4, §5.11.4).

    CKF_END_OF_MESSAGE marks the last part. A part may be held back until the tag is there. What
    a fault leaves is not said.
    """
    del world
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    operation = session.operations.get(kind)
    fail = _doubt(session, kind)
    faults = _hindrances(operation, data, out, begun=True)
    if faults or operation is None or operation.signature is None or operation.key is None:
        return Allowed(faults, None, fail)
    iv, extra = operation.signature[:12], operation.signature[12:]
    come, last = operation.data + data, bool(flags & END_OF_MESSAGE)
    if kind == "message encrypt":
        result = algorithms.seal(operation.key, iv, extra, come)
    elif last:
        result = algorithms.open_sealed(operation.key, iv, extra, come, parameter.tag)
    else:
        result = algorithms.Result()
    most = len(come) - operation.given
    if out.capacity is None:
        return Allowed(result.faults, lambda _: None, fail)

    def follow(reply: Reply) -> None:
        tag, (length, given) = reply.written[0], reply.written[-1]
        require(length == len(given) <= most, "length", length)
        require(not last or length == most, "length", length)
        if result.data is not None:
            seen = result.data[operation.given : operation.given + length]
            require(given == seen, "data", given.hex())
            if last and kind == "message encrypt":
                require(tag == result.data[-TAG:], "tag", tag.hex())
        operation.data, operation.given = come, operation.given + length
        operation.parts = not last

    faults = set(result.faults)
    if out.capacity < most:
        faults.add("BUFFER_TOO_SMALL")
    if operation.unknown:
        faults |= {"KEY_HANDLE_INVALID", "USER_NOT_LOGGED_IN"}
    refuses = bool(result.faults) or (last and out.capacity < most)
    return Allowed(faults, None if refuses else follow, fail)


def message_final(kind: str, world: World, app: Application, handle: int) -> Allowed:
    """C_MessageEncryptFinal, C_MessageDecryptFinal (§5.9.5, §5.11.5).

    What it does in the middle of a message is not said.
    """
    del world
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    operation = session.operations.get(kind)
    if operation is None:
        return refused("OPERATION_NOT_INITIALIZED")
    faults = {"OPERATION_ACTIVE"} if operation.parts else set()
    return Allowed(faults, lambda _: session.operations.pop(kind), _doubt(session, kind))


CHAPTER: dict[str, Any] = {}
for _word in ("Encrypt", "Decrypt"):
    _kind = f"message {_word.lower()}"
    CHAPTER[f"Message{_word}Init"] = partial(begin, _kind)
    CHAPTER[f"{_word}Message"] = partial(message, _kind)
    CHAPTER[f"{_word}MessageBegin"] = partial(message_begin, _kind)
    CHAPTER[f"{_word}MessageNext"] = partial(message_next, _kind)
    CHAPTER[f"Message{_word}Final"] = partial(message_final, _kind)

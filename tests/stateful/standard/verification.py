"""Verification of signatures and MACs (§5.14, §5.15)."""

from functools import partial
from typing import Any

from . import algorithms
from .algorithms import SIGNATURE_BYTES
from .allowed import Allowed, Difference, refused
from .operations import KEY_GONE, ending, hindrances, or_active
from .state import Application, Operation, Session, World
from .values import Null


def verify(
    kind: str, world: World, app: Application, handle: int, data: object, signature: object
) -> Allowed:
    """C_Verify (§5.15.2), which always ends the operation.

    CKR_SIGNATURE_LEN_RANGE goes before CKR_SIGNATURE_INVALID (§5.1.6).
    """
    del world
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    operation = session.operations.get(kind)
    null = isinstance(data, Null) or isinstance(signature, Null)
    if operation is None:
        return refused("OPERATION_NOT_INITIALIZED", *(["ARGUMENTS_BAD"] if null else []))
    faults = hindrances(operation, Null(1) if null else data)
    if operation.parts:
        faults |= {"OPERATION_ACTIVE", "OPERATION_NOT_INITIALIZED"}
    if faults:
        return or_active(operation, Allowed(faults, None, ending(session, kind)))
    return or_active(operation, _judge(session, kind, operation, data, signature))


def verify_final(
    kind: str, world: World, app: Application, handle: int, signature: object
) -> Allowed:
    """C_VerifyFinal (§5.15.4)."""
    del world
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    operation = session.operations.get(kind)
    null = isinstance(signature, Null)
    if operation is None:
        return refused("OPERATION_NOT_INITIALIZED", *(["ARGUMENTS_BAD"] if null else []))
    faults = hindrances(operation, signature)
    if faults:
        return Allowed(faults, None, ending(session, kind))
    return _judge(session, kind, operation, operation.data, signature)


def _judge(
    session: Session, kind: str, operation: Operation, data: bytes, signature: bytes
) -> Allowed:
    name, key = operation.mechanism.name, operation.key
    if key is None:
        raise Difference("model", detail="a verification without a key")
    optional = KEY_GONE if operation.unknown else set()

    over = ending(session, kind)
    faults = set()
    if name == "RSA_PKCS" and len(data) > algorithms.RSA_ROOM:
        faults = {"DATA_LEN_RANGE", "SIGNATURE_INVALID"}
    if len(signature) != SIGNATURE_BYTES[name]:
        faults = (faults - {"SIGNATURE_INVALID"}) | {"SIGNATURE_LEN_RANGE"}
    if faults:
        return Allowed(faults | optional, None, over)
    right = algorithms.is_signature(name, key, data, signature)
    if right is None:
        return Allowed({"SIGNATURE_INVALID"} | optional, over, over)
    if right:
        return Allowed(optional, over, over)
    return Allowed({"SIGNATURE_INVALID"} | optional, None, over)


def verify_signature(world: World, app: Application, handle: int, data: object) -> Allowed:
    """C_VerifySignature (§5.14.2): with the signature that was given at the beginning."""
    operation = _known(app, handle)
    return verify(
        "verify signature", world, app, handle, data, operation.signature if operation else b""
    )


def verify_signature_final(world: World, app: Application, handle: int) -> Allowed:
    """C_VerifySignatureFinal (§5.14.4)."""
    operation = _known(app, handle)
    return verify_final(
        "verify signature", world, app, handle, operation.signature if operation else b""
    )


def _known(app: Application, handle: int) -> Operation | None:
    session = app.sessions.get(handle)
    return session.operations.get("verify signature") if session else None


CHAPTER: dict[str, Any] = {
    "Verify": partial(verify, "verify"),
    "VerifyFinal": partial(verify_final, "verify"),
    "VerifySignature": verify_signature,
    "VerifySignatureFinal": verify_signature_final,
}

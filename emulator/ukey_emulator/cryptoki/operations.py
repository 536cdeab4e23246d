"""Operations of a session, and how output reaches a caller's buffer (PKCS#11 3.2 §5.2)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ukey_emulator.chip import Refusal
from ukey_emulator.chip.objects import Object
from ukey_emulator.terms import CKR

if TYPE_CHECKING:
    from .application import Session
    from .wire import Out


@dataclass(slots=True)
class Operation:
    """One operation that is under way.

    `context` is the chip's side of it, `key` what it works with. `authorised` is False while a
    key with CKA_ALWAYS_AUTHENTICATE waits for its PIN. `parts` is True once an update has come.
    `held` is output that did not fit into the caller's buffer and waits for a larger one.
    """

    context: object
    key: Object | None = None
    authorised: bool = True
    parts: bool = False
    held: bytes | None = None


def require_pointer(given: object) -> None:
    """Refuse a NULL pointer with CKR_ARGUMENTS_BAD."""
    if given is None or given is False:
        raise Refusal(CKR.ARGUMENTS_BAD, "a pointer is NULL")


def require_data(data: bytes | None) -> bytes:
    """Give data that came; CKR_ARGUMENTS_BAD for a NULL pointer that claims bytes."""
    if data is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "a data pointer is NULL")
    return data


def deliver(
    out: "Out", most: int, operation: Operation, produce: Callable[[], bytes]
) -> bytes | int:
    """Give output as the standard's convention wants it (PKCS#11 3.2 §5.2).

    For a NULL buffer only the length; CKR_BUFFER_TOO_SMALL, with the length that is enough, when
    the buffer is short: the operation then stays as it was. `most` is an upper bound on what
    `produce` gives. It is called once even if the caller must come again with a larger buffer.
    """
    if not out.asked:
        raise Refusal(CKR.ARGUMENTS_BAD, "the length pointer is NULL")
    if out.capacity is None:
        return most if operation.held is None else len(operation.held)
    if operation.held is None:
        if out.capacity >= most:
            return produce()
        operation.held = produce()
    if out.capacity < len(operation.held):
        raise Refusal(CKR.BUFFER_TOO_SMALL, results=(len(operation.held),))
    data, operation.held = operation.held, None
    return data


def require_none(session: "Session", name: str) -> None:
    """Refuse with CKR_OPERATION_ACTIVE while an operation of that kind is under way."""
    if name in session.operations:
        raise Refusal(CKR.OPERATION_ACTIVE, f"a {name} operation is active")


def step(
    session: "Session",
    name: str,
    work: Callable[[Operation], bytes | int | None],
    *,
    part: bool,
    ends: bool,
) -> bytes | int | None:
    """Do one call of an active operation.

    `part` says that the call belongs to a multi-part operation, `ends` that its success ends the
    operation. An error ends it too, but for CKR_BUFFER_TOO_SMALL (PKCS#11 3.2 §5.2).
    CKR_OPERATION_NOT_INITIALIZED if none is active, CKR_OPERATION_ACTIVE for a single-part call
    in the middle of a multi-part one, CKR_USER_NOT_LOGGED_IN if its key waits for a PIN.
    """
    operation = session.operations.get(name)
    if operation is None:
        raise Refusal(CKR.OPERATION_NOT_INITIALIZED, f"no {name} operation")
    if not part and operation.parts:
        raise Refusal(CKR.OPERATION_ACTIVE, "parts have come already")
    if not operation.authorised:
        session.operations.pop(name)
        raise Refusal(CKR.USER_NOT_LOGGED_IN, "the key asks for its PIN at each use")
    try:
        result = work(operation)
    except Refusal as refusal:
        if refusal.code is not CKR.BUFFER_TOO_SMALL:
            session.operations.pop(name, None)
        raise
    if part:
        operation.parts = True
    if ends and not isinstance(result, int):
        session.operations.pop(name, None)
    return result

"""Operations of a session, and how output reaches a caller's buffer (PKCS#11 3.2 §5.2)."""

from collections.abc import Callable
from dataclasses import dataclass

from ukey_emulator.chip import Refusal
from ukey_emulator.chip.objects import Object
from ukey_emulator.terms import CKR

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


def deliver(out: Out, most: int, operation: Operation, produce: Callable[[], bytes]) -> bytes | int:
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

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
    `signature` is the one to be judged, where it came first. `begin` gives the context afresh;
    `mechanism` is what it works by.
    """

    context: object
    key: Object | None = None
    authorised: bool = True
    parts: bool = False
    signature: bytes | None = None
    begin: Callable[[], object] | None = None
    mechanism: int | None = None

    def start_over(self) -> None:
        """Forget all input, as if none had come yet."""
        if self.begin is not None:
            self.context = self.begin()


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
    out: Out, most: int, produce: Callable[[], bytes], *, exact: bool = True
) -> bytes | int:
    """Give output as the standard's convention wants it (PKCS#11 3.2 §5.2).

    For a NULL buffer only the length; CKR_BUFFER_TOO_SMALL, with the length that is enough, when
    the buffer is short: the operation then has to stay as it was. `most` is the length of what
    `produce` gives. Where it is not `exact` but a bound, a shorter buffer may still do: what does
    not fit is then made in vain, and `produce` must be able to make it again.
    """
    if not out.asked:
        raise Refusal(CKR.ARGUMENTS_BAD, "the length pointer is NULL")
    if out.capacity is None:
        return most
    if exact and out.capacity < most:
        raise Refusal(CKR.BUFFER_TOO_SMALL, results=(most,))
    data = produce()
    if out.capacity < len(data):
        raise Refusal(CKR.BUFFER_TOO_SMALL, results=(len(data),))
    return data

"""A session of an application, and the operations that are under way in it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ukey_emulator.chip import Chip, Refusal
from ukey_emulator.chip.objects import Object
from ukey_emulator.profiles.quirks import Quirk
from ukey_emulator.slots import Slot
from ukey_emulator.terms import CKF, CKR

from .operations import Operation


@dataclass(slots=True, eq=False)
class Session:
    """One session; `objects` are the session objects that end with it.

    `caller` is the thread that called last. `pause` takes the time that the call under way costs.
    """

    handle: int
    slot: Slot
    chip: Chip
    writable: bool
    operations: dict[str, Operation] = field(default_factory=dict)
    objects: list[Object] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    caller: int = 0
    pause: Callable[[], None] | None = None

    @property
    def flags(self) -> int:
        """The flags of CK_SESSION_INFO."""
        return CKF.SERIAL_SESSION | (CKF.RW_SESSION if self.writable else 0)

    def require_free(self, name: str) -> None:
        """Refuse with CKR_OPERATION_ACTIVE while an operation of that kind is under way."""
        if name in self.operations:
            raise Refusal(CKR.OPERATION_ACTIVE, f"a {name} operation is active")

    def usable(self, name: str) -> Operation:
        """Give an active operation.

        CKR_OPERATION_NOT_INITIALIZED if none is active; CKR_USER_NOT_LOGGED_IN, which ends it, if
        its key waits for a PIN.
        """
        operation = self.operations.get(name)
        if operation is None:
            raise Refusal(CKR.OPERATION_NOT_INITIALIZED, f"no {name} operation")
        if not operation.authorised:
            self.operations.pop(name)
            raise Refusal(CKR.USER_NOT_LOGGED_IN, "the key asks for its PIN at each use")
        return operation

    def end(self, name: str) -> None:
        """End an operation as a NULL mechanism asks for (PKCS#11 3.2 §5.8.1).

        CKR_ARGUMENTS_BAD if none is under way, as before 3.0.
        """
        if self.operations.pop(name, None) is None:
            raise Refusal(CKR.ARGUMENTS_BAD, f"neither a mechanism nor a {name} operation")

    def step(
        self,
        name: str,
        work: Callable[[Operation], bytes | int | None],
        *,
        part: bool,
        ends: bool,
    ) -> bytes | int | None:
        """Do one call of an active operation.

        `part` says that the call belongs to a multi-part operation, `ends` that its success
        ends the operation. An error ends it too, but for CKR_BUFFER_TOO_SMALL (PKCS#11 3.2 §5.2).
        The codes of `usable`; CKR_OPERATION_ACTIVE for a single-part call in the middle of a
        multi-part one.
        """
        operation = self.usable(name)
        if not part and operation.parts:
            raise Refusal(CKR.OPERATION_ACTIVE, "parts have come already")
        try:
            result = work(operation)
        except Refusal as refusal:
            harmless = refusal.code is CKR.BUFFER_TOO_SMALL
            if not harmless or Quirk.SHORT_BUFFER in self.chip.identity.quirks:
                self.operations.pop(name, None)
            raise
        if part and not ends:
            operation.parts = True
        if ends and not isinstance(result, int):
            self.operations.pop(name, None)
        return result

"""The face: calls come in by name, results or a return value go out."""

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from ukey_emulator.chip import Refusal
from ukey_emulator.faults import Dropped
from ukey_emulator.slots import Slots
from ukey_emulator.terms import CKR

from . import (
    digest,
    dual,
    encapsulate,
    encrypt,
    keys,
    message,
    message_sign,
    objects,
    pace,
    random,
    sessions,
    sign,
    slots,
    verify,
)
from .application import Application
from .faults import CallFaults
from .repeat import Signing
from .wire import FUNCTIONS

_CHAPTERS = (
    slots,
    sessions,
    objects,
    encrypt,
    message,
    digest,
    sign,
    message_sign,
    verify,
    dual,
    keys,
    encapsulate,
    random,
)
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: function
    for chapter in _CHAPTERS
    for name, function in vars(chapter).items()
    if name.startswith("C_")
}

_OF_SESSIONS = frozenset(
    function.name
    for function in FUNCTIONS.values()
    if function.arguments and function.arguments[0].kind == "SESSION"
)

# What these answer is of the token in a slot, as what the others answer is of a session's.
_OF_TOKENS = frozenset(
    {
        "C_GetTokenInfo",
        "C_GetMechanismList",
        "C_GetMechanismInfo",
        "C_InitToken",
        "C_OpenSession",
    }
)

# After these, what the module knows of earlier answers is as it was: all that they change is an
# operation, of which it keeps nothing beyond its own next call, or they make what nobody has asked
# about yet. The longest ones are among them: meanwhile the others may go on with what they know.
_HARMLESS = frozenset(
    name
    for name in _FUNCTIONS
    if name.startswith(
        (
            "C_Encrypt",
            "C_Decrypt",
            "C_Digest",
            "C_Sign",
            "C_Verify",
            "C_Message",
            "C_Find",
            "C_GetAttribute",
            "C_GetObjectSize",
            "C_GetSessionInfo",
            "C_GetSlot",
            "C_GetTokenInfo",
            "C_GetMechanism",
            "C_Generate",
            "C_WaitForSlotEvent",
        )
    )
)


class Watcher(Protocol):
    """What follows each call, and is told of the faults that happened to it, if any did."""

    def __call__(
        self,
        application: Application,
        name: str,
        arguments: tuple[Any, ...],
        code: int,
        seconds: float,
        results: tuple[Any, ...],
        /,
        *,
        fault: str = "",
    ) -> None:
        """Take note of a call with its return value, its time in seconds and its results."""


class Face:
    """PKCS#11 as the rack serves it to applications."""

    def __init__(self, slots: Slots, watcher: Watcher) -> None:
        self._slots = slots
        self._watcher = watcher
        self._epoch = slots.epoch
        self._plan = slots.faults
        self._faults = CallFaults(slots)

    def attach(self, application_id: bytes, pid: int, name: str) -> Application:
        """Begin an application: C_Initialize was called in a process."""
        del application_id
        return Application(self._slots, pid, name)

    def detach(self, application: Application) -> None:
        """End an application: C_Finalize was called, or the process is gone."""
        application.end()

    def call(
        self, application: Application, name: str, arguments: tuple[Any, ...]
    ) -> tuple[int, tuple[Any, ...]]:
        """Carry out one function: give its return value and its outputs.

        A function that the table names and no chapter has is CKR_FUNCTION_NOT_SUPPORTED. Dropped
        if a fault drops the connection.
        """
        if self._plan.armed:
            return self._call_with_faults(application, name, arguments)
        begun = time.perf_counter()
        if name in _HARMLESS:
            code, results = _carry_out(application, name, arguments)
        else:
            with self._epoch.change():
                code, results = _carry_out(application, name, arguments)
        seconds = time.perf_counter() - begun
        self._watcher(application, name, arguments, code, seconds, results)
        return code, results

    def _call_with_faults(
        self, application: Application, name: str, arguments: tuple[Any, ...]
    ) -> tuple[int, tuple[Any, ...]]:
        def work() -> tuple[int, tuple[Any, ...]]:
            if name in _HARMLESS:
                return _carry_out(application, name, arguments)
            with self._epoch.change():
                return _carry_out(application, name, arguments)

        begun = time.perf_counter()
        ended = self._faults.carry_out(application, name, arguments, work)
        seconds = time.perf_counter() - begun
        told = {"fault": ended.faults} if ended.faults else {}
        self._watcher(application, name, arguments, ended.code, seconds, ended.results, **told)
        if ended.dropped:
            raise Dropped(ended.faults)
        return ended.code, ended.results

    def keep_promise(
        self, application: Application, name: str, arguments: tuple[Any, ...]
    ) -> Signing | None:
        """Carry out a function that begins an operation, whose answer the program has already.

        A signature that was begun is given, to be made again by `sign_again`.
        """
        epoch, slot = self._epoch.now, application.slot_of(arguments[0])
        code, _ = _carry_out(application, name, arguments)
        if code == CKR.DEVICE_REMOVED and slot is not None:
            application.tell_again(arguments[0], slot)
        if code != CKR.OK or name != "C_SignInit":
            return None
        return Signing.begun(application, arguments[0], epoch)

    def sign_again(self, signing: Signing, data: bytes) -> bytes | None:
        """Begin a signature as before and make it; None where that has to go step by step.

        The caller tells the trace of it.
        """
        return signing.sign(data) if signing.epoch == self._epoch.now else None


def _carry_out(
    application: Application, name: str, arguments: tuple[Any, ...]
) -> tuple[int, tuple[Any, ...]]:
    function = _FUNCTIONS.get(name)
    if function is None:
        return CKR.FUNCTION_NOT_SUPPORTED, ()
    try:
        if name in _OF_SESSIONS:
            result = _in_session(application, function, arguments)
        elif name in _OF_TOKENS:
            result = _on_token(application, function, arguments)
        else:
            result = function(application, *arguments)
    except Refusal as refusal:
        return refusal.code, refusal.results
    if result is None:
        return CKR.OK, ()
    return CKR.OK, result if isinstance(result, tuple) else (result,)


def _in_session(
    application: Application, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> Any:  # noqa: ANN401 - what the function gives
    """Carry out a function of a session; CKR_DEVICE_REMOVED if its key was pulled out meanwhile.

    Nothing is given then, whatever came of the work: a program would take it for a key's answer.
    """
    session = application.session(arguments[0])
    caller = threading.get_ident()
    # Two threads may share a session; each call of theirs is done whole.
    with session.lock:
        if session.caller != caller:
            # What another thread knows of the session's operations holds no longer.
            session.caller = caller
            application.slots.epoch.advance()
        try:
            if session.chip.paced:
                return pace.in_session(application, session, function, arguments[1:])
            return function(application, session, *arguments[1:])
        finally:
            if session.slot.chip is not session.chip:
                raise application.removed(session)


def _on_token(
    application: Application, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> Any:  # noqa: ANN401 - what the function gives
    """Carry out a function of the token in a slot, as `_in_session` does."""
    slot = application.slot(arguments[0])
    chip = slot.chip
    try:
        if chip is not None and chip.paced:
            return pace.on_token(application, chip, function, arguments)
        return function(application, *arguments)
    finally:
        if chip is not None and slot.chip is not chip:
            raise Refusal(CKR.DEVICE_REMOVED, f"the key of slot {slot.number} is gone")

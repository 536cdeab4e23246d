"""Faults at calls: what a plan does to the functions that programs call."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ukey_emulator.chip import Chip, Refusal
from ukey_emulator.faults import Caller, Fault, FunctionWords, Meeting, What, Where, turned
from ukey_emulator.slots import Slot, Slots
from ukey_emulator.terms import CKR

from .application import Application
from .wire import FUNCTIONS, Function, Mechanism

Answer = tuple[int, tuple[Any, ...]]

# Operation → the functions that go on with it.
_GOING_ON = {
    "encrypt": {
        *("C_Encrypt", "C_EncryptUpdate", "C_EncryptFinal"),
        *("C_DigestEncryptUpdate", "C_SignEncryptUpdate"),
    },
    "decrypt": {
        *("C_Decrypt", "C_DecryptUpdate", "C_DecryptFinal"),
        *("C_DecryptDigestUpdate", "C_DecryptVerifyUpdate"),
    },
    "digest": {
        *("C_Digest", "C_DigestUpdate", "C_DigestFinal"),
        *("C_DigestEncryptUpdate", "C_DecryptDigestUpdate"),
    },
    "sign": {"C_Sign", "C_SignUpdate", "C_SignFinal", "C_SignEncryptUpdate"},
    "sign-recover": {"C_SignRecover"},
    "verify": {"C_Verify", "C_VerifyUpdate", "C_VerifyFinal", "C_DecryptVerifyUpdate"},
    "verify-recover": {"C_VerifyRecover"},
    "verify-signature": {
        *("C_VerifySignature", "C_VerifySignatureUpdate", "C_VerifySignatureFinal"),
    },
}
# The same for those that an error in one message leaves as they are (PKCS#11 3.2 §5.9).
_OF_MESSAGES = {
    "digest": {"C_DigestKey"},
    "message-encrypt": {
        *("C_EncryptMessage", "C_EncryptMessageBegin", "C_EncryptMessageNext"),
        "C_MessageEncryptFinal",
    },
    "message-decrypt": {
        *("C_DecryptMessage", "C_DecryptMessageBegin", "C_DecryptMessageNext"),
        "C_MessageDecryptFinal",
    },
    "message-sign": {
        *("C_SignMessage", "C_SignMessageBegin", "C_SignMessageNext"),
        "C_MessageSignFinal",
    },
    "message-verify": {
        *("C_VerifyMessage", "C_VerifyMessageBegin", "C_VerifyMessageNext"),
        "C_MessageVerifyFinal",
    },
}
_NAMED = {function.name: function for function in FUNCTIONS.values()}
_ENDING = {
    name: [operation for operation, functions in _GOING_ON.items() if name in functions]
    for name in _NAMED
}
_WORKING = {
    name: [
        operation
        for table in (_GOING_ON, _OF_MESSAGES)
        for operation, functions in table.items()
        if name in functions
    ]
    for name in _NAMED
}
_WITH_MECHANISM = ("MECHANISM", "WRAP_MECHANISM", "SEAL_MECHANISM", "OPEN_MECHANISM")


def _places(function: Function, *kinds: str) -> list[int]:
    return [place for place, each in enumerate(function.arguments) if each.kind in kinds]


_MECHANISMS = {name: _places(function, *_WITH_MECHANISM) for name, function in _NAMED.items()}
_BUFFERS = {name: _places(function, "DATA_OUT", "LIST_OUT") for name, function in _NAMED.items()}
_QUERIES = {name: _places(function, "QUERY") for name, function in _NAMED.items()}
_TURNED = 1 << 32  # the bit of a number that is turned


def _is_keyed(function: Function) -> bool:
    return bool(function.arguments) and function.arguments[0].kind in {"SESSION", "SLOT"}


FUNCTION_WORDS = {
    name: FunctionWords(
        keyed=_is_keyed(function),
        outputs=bool(function.outputs),
        mechanism=bool(_MECHANISMS[name] or _WORKING[name]) or name == "C_GetMechanismInfo",
        local=function.local,
    )
    for name, function in _NAMED.items()
}
"""What fault plans have to know of the functions, by name."""


class Ended(NamedTuple):
    """How a call has ended: what it answers, the faults that happened to it, and if to nobody."""

    code: int
    results: tuple[Any, ...]
    faults: str
    dropped: bool


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that may meet faults; `slot` and `chip` are those that it is about, if any."""

    app: Application
    name: str
    arguments: tuple[Any, ...]
    slot: Slot | None
    chip: Chip | None
    work: Callable[[], Answer]

    def meeting(self) -> Meeting:
        """Give what faults look at."""
        app, slot = self.app, self.slot
        return Meeting(
            Where.FUNCTION,
            self.name,
            slot.key if slot is not None else None,
            app.pid,
            app.name,
            _mechanisms(app, self.name, self.arguments),
            _asks(self.name, self.arguments),
        )

    def goes_on(self) -> bool:
        """Tell whether the key is still where it was when the call came."""
        return self.slot is None or self.slot.chip is self.chip


class CallFaults:
    """Carries calls out as a plan has them go, for the face."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._plan = slots.faults

    def carry_out(
        self,
        app: Application,
        name: str,
        arguments: tuple[Any, ...],
        work: Callable[[], Answer],
    ) -> Ended:
        """Do the work of a call, with all that happens to it."""
        slot = self._slot(app, name, arguments)
        call = _Call(app, name, arguments, slot, slot.chip if slot is not None else None, work)
        caller = Caller(app.pid, app.name, lambda: not app.ended)
        with self._plan.on_behalf(caller):
            fired = self._plan.meet(call.meeting())
            code, results = self._go(call, fired)
        if caller.cut:
            code, results = self._pull(call, (code, results))
        dropped = any(fault.what is What.DROP for fault in fired)
        return Ended(code, results, caller.faults, dropped)

    def _slot(self, app: Application, name: str, arguments: tuple[Any, ...]) -> Slot | None:
        """Give the slot whose key a call is about, None if it is about none that is there."""
        if not FUNCTION_WORDS[name].keyed:
            return None
        if _NAMED[name].arguments[0].kind == "SLOT":
            return self._slots.get(arguments[0])
        session = app.open_sessions().get(arguments[0])
        there = session is not None and session.slot.chip is session.chip
        return session.slot if session is not None and there else None

    def _go(self, call: _Call, fired: tuple[Fault, ...]) -> Answer:
        fault = self._plan.wait_all(fired, call.goes_on)
        if not call.goes_on():
            return _overtaken(call.name, call.work())
        return call.work() if fault is None else self._happen(call, fault)

    def _happen(self, call: _Call, fault: Fault) -> Answer:
        """Have a fault happen to a call, which it alone decides on."""
        match fault.what:
            case What.RETURN:
                _fail(call, int(fault.value))
                return int(fault.value), ()
            case What.DROP:
                return CKR.DEVICE_REMOVED, ()  # as the module takes a connection that has gone
            case What.PULL if fault.value == "after":
                return self._pull(call, call.work())
            case What.PULL:
                if call.slot is not None and call.chip is not None:
                    self._slots.puller(call.slot, call.chip)
                    return _overtaken(call.name, call.work())
            case What.LOGOUT if call.chip is not None:
                with self._slots.epoch.change():
                    call.chip.forget_logins()
                call.app.role(call.chip)  # takes from sight what the user alone may see
        code, results = call.work()
        if fault.what is What.CORRUPT:
            results = _corrupted(_NAMED[call.name], results)
        return code, results

    def _pull(self, call: _Call, answer: Answer) -> Answer:
        """Pull the key out from under a call that has been carried out: nothing comes of it."""
        if call.slot is not None and call.chip is not None:
            self._slots.puller(call.slot, call.chip)
        if _NAMED[call.name].arguments[0].kind == "SESSION":
            with contextlib.suppress(Refusal):
                call.app.session(call.arguments[0])  # is told so by this call
        return _overtaken(call.name, answer)


def _overtaken(name: str, answer: Answer) -> Answer:
    """Give the answer to a call whose key was pulled out after it had come.

    What is of the slot alone is answered as it is then.
    """
    if name == "C_GetSlotInfo" or answer[0] == CKR.DEVICE_REMOVED:
        return answer
    return CKR.DEVICE_REMOVED, ()


def _fail(call: _Call, code: int) -> None:
    """End what an error of that function ends (PKCS#11 3.2 §5.2)."""
    if code in {CKR.OK, CKR.BUFFER_TOO_SMALL} or not _ENDING[call.name]:
        return
    session = call.app.open_sessions().get(call.arguments[0])
    if session is not None:
        with session.lock:
            for operation in _ENDING[call.name]:
                session.operations.pop(operation, None)


def _mechanisms(app: Application, name: str, arguments: tuple[Any, ...]) -> frozenset[int]:
    """Give the mechanisms that a call works with."""
    if name == "C_GetMechanismInfo":
        return frozenset({arguments[1]})
    told: list[Mechanism | None] = [arguments[place] for place in _MECHANISMS[name]]
    found = {mechanism.type for mechanism in told if mechanism is not None}
    if _WORKING[name]:
        session = app.open_sessions().get(arguments[0])
        if session is not None:
            active = map(session.operations.get, _WORKING[name])
            found |= {each.mechanism for each in active if each and each.mechanism is not None}
    return frozenset(found)


def _asks(name: str, arguments: tuple[Any, ...]) -> bool:
    """Tell whether a call asks for a length alone, and has nothing done."""
    for place in _BUFFERS[name]:
        out = arguments[place]
        if out.asked and out.capacity is None:
            return True
    for place in _QUERIES[name]:
        queries = arguments[place]
        if queries and all(each.capacity is None for each in queries):
            return True
    return False


def _corrupted(function: Function, results: tuple[Any, ...]) -> tuple[Any, ...]:
    """Turn one bit of each output."""
    kinds = [output.kind for output in function.outputs]
    return (
        tuple(
            # The number in the place of bytes or of a list is a length: that is no output yet.
            each if isinstance(each, int) and kind != "ULONG_OUT" else _turned(each)
            for kind, each in zip(kinds, results, strict=True)
        )
        if results
        else ()
    )


def _turned(output: Any) -> Any:  # noqa: ANN401 - whatever a function gives
    """Turn a bit in the middle of bytes or a number, of the middle one of some, of each value."""
    match output:
        case int():
            return output ^ _TURNED
        case bytes():
            return turned(output)
        case [int(), *_]:
            middle = len(output) // 2
            return [*output[:middle], output[middle] ^ _TURNED, *output[middle + 1 :]]
        case list():
            return [(*before, _turned(value)) for *before, value in output]
        case tuple():
            return tuple(map(_turned, output))
        case _:
            return output

"""The calls of one thread of a program: some to be answered, some only to be heard of."""

import logging
import struct
import time
from collections.abc import Callable
from typing import Any, Protocol

from ukey_emulator.cryptoki.repeat import Signing
from ukey_emulator.cryptoki.wire import FUNCTIONS, Function, WireError, decode, encode
from ukey_emulator.faults import Dropped

from .frames import GENERAL_ERROR, bare_answer

_log = logging.getLogger(__name__)

_RECALLED = {
    function.number: function
    for function in FUNCTIONS.values()
    if function.name
    in {
        "C_GetSessionInfo",
        "C_GetAttributeValue",
        "C_Encrypt",
        "C_Decrypt",
        "C_Digest",
        "C_Sign",
    }
}
"""The calls that the module may answer itself, and then only tells of."""

_PROMISED = {
    function.number: function
    for function in FUNCTIONS.values()
    if function.name in {"C_EncryptInit", "C_DecryptInit", "C_DigestInit", "C_SignInit"}
}
"""The calls that the module may answer before they are made."""

_SETTLE = 1
_OK = 0
_SIGN_INIT, _SIGN = (
    next(function for function in FUNCTIONS.values() if function.name == name)
    for name in ("C_SignInit", "C_Sign")
)
_SIGN_WORDS = struct.Struct("<QQQ")  # session, length of the data, room for the signature
_MOST_ROOM = 2**32  # a word up to here is a number of bytes for sure
_MOST_KNOWN = 32


class Face(Protocol):
    """What carries calls out: the PKCS#11 face of the rack.

    An application is a program that called C_Initialize; what `attach` gives for it is handed to
    `call` and `detach` as it is. `call` runs in the connection's thread: a program's threads call
    at the same time. `detach` comes once, at C_Finalize or when the program has ended, even while
    `call` waits in another thread, which it has to wake; what that call answers is thrown away.
    """

    def attach(self, application_id: bytes, pid: int, name: str) -> Any:  # noqa: ANN401
        """Begin an application: 16 random bytes, the process id and name that it tells."""

    def call(
        self,
        application: Any,  # noqa: ANN401
        function_name: str,
        args: tuple[Any, ...],
    ) -> tuple[int, tuple[Any, ...]]:
        """Answer a call with its return value and results, shaped as wire.py says."""

    def keep_promise(
        self,
        application: Any,  # noqa: ANN401
        function_name: str,
        args: tuple[Any, ...],
    ) -> Signing | None:
        """Make a call that its program has been answered; a signature that it begins is given."""

    def sign_again(self, signing: Signing, data: bytes) -> bytes | None:
        """Begin that signature anew and make it; None where this has to go step by step."""

    def detach(self, application: Any) -> None:  # noqa: ANN401
        """End an application, its sessions and its login."""


Told = Callable[[Any, str, bytes, float], None]
"""Hears of calls that `call` did not carry out: application, name, payload, seconds it took."""


class Untold:
    """What the trace has yet to be told of: no program waits for that.

    The calls of a connection that it need not wait for, in their order; each is told before the
    next call is carried out, or before the next one is waited for.
    """

    def __init__(self, told: Told) -> None:
        self._told = told
        self._calls: list[tuple[Any, str, bytes, float]] = []
        self.note = self._calls.append

    def tell(self) -> None:
        """Tell of all that there is."""
        for call in self._calls:
            self._told(*call)
        self._calls.clear()


class Calls:
    """The calls of a connection, in their order.

    A call that was promised, of which there is one at most, is made before the next one. Where it
    begins a signature as an earlier one did, that is begun and made in one go.
    """

    def __init__(self, face: Face, application: Any, untold: Untold) -> None:  # noqa: ANN401
        self._face = face
        self._application = application
        self._untold = untold
        self._promised: tuple[Function, bytes] | None = None
        self._signings: dict[bytes, Signing] = {}

    def hear(self, number: int, payload: memoryview) -> None:
        """Take a call that the module has answered; WireError if it may not."""
        function = _PROMISED.get(number)
        if function is not None:
            request = payload.tobytes()
            self._untold.note((self._application, function.name, request, 0.0))
            if self._promised is not None:
                self._keep_promise()
            self._promised = function, request
        elif number in _RECALLED:
            name = _RECALLED[number].name
            self._untold.note((self._application, name, payload.tobytes(), 0.0))
        else:
            raise WireError(f"the module may not answer function number {number}")

    def answer(self, number: int, payload: memoryview) -> bytes:
        """Carry a call out and give its answer as a frame; WireError if it is none.

        Dropped if a fault drops the connection.
        """
        function = FUNCTIONS.get(number)
        if number == _SETTLE and not payload:
            function = None
        elif function is None or function.local:
            raise WireError(f"function number {number} is none that the rack answers")
        try:
            if self._promised is not None:
                signed = self._sign_again(payload) if function is _SIGN else None
                if signed is not None:
                    return signed
                self._keep_promise()
            self._untold.tell()
            if function is None:
                return bare_answer(_SETTLE, _OK)
            args = decode(function, payload)
            rv, results = self._face.call(self._application, function.name, args)
            return encode(function, rv, results)
        except (WireError, Dropped):
            raise
        except Exception:  # noqa: BLE001 - a mistake in one call must not end the others
            _log.exception("%s failed inside the rack", function.name if function else "a promise")
            return bare_answer(number, GENERAL_ERROR)

    def _keep_promise(self) -> None:
        assert self._promised is not None  # noqa: S101 - for the type checker
        (function, payload), self._promised = self._promised, None
        args = decode(function, payload)
        signing = self._face.keep_promise(self._application, function.name, args)
        if signing is not None:
            if len(self._signings) >= _MOST_KNOWN:
                self._signings.clear()
            self._signings[payload] = signing

    def _sign_again(self, payload: memoryview) -> bytes | None:
        """Answer C_Sign together with the C_SignInit that was promised, if it is a known one."""
        assert self._promised is not None  # noqa: S101 - for the type checker
        signing = self._signings.get(self._promised[1])
        if signing is None or len(payload) < _SIGN_WORDS.size:
            return None
        session, length, room = _SIGN_WORDS.unpack_from(payload)
        data = payload[_SIGN_WORDS.size :].tobytes()
        if (
            session != signing.session.handle
            or length != len(data)
            or not signing.length <= room <= _MOST_ROOM
        ):
            return None
        begun = time.perf_counter()
        signature = self._face.sign_again(signing, data)
        if signature is None:
            return None
        self._promised = None
        seconds = time.perf_counter() - begun
        self._untold.note((self._application, _SIGN.name, payload.tobytes(), seconds))
        return encode(_SIGN, _OK, (signature,))

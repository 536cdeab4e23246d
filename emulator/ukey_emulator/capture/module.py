"""A PKCS#11 module as a reader needs it: the functions that tell, and none that changes anything.

There is no way here to log in, to give a PIN or to write: the functions for it are not known.
"""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ctypes import POINTER, Structure, byref, c_char, c_ubyte, c_ulong, c_void_p
from pathlib import Path
from typing import Any

from ukey_emulator.terms import CKA, CKF, CKR

# Their places in CK_FUNCTION_LIST (PKCS#11 3.2 §3.6, pkcs11f.h).
_PLACES = {
    "C_Initialize": 0,
    "C_Finalize": 1,
    "C_GetSlotList": 4,
    "C_GetSlotInfo": 5,
    "C_GetTokenInfo": 6,
    "C_GetMechanismList": 7,
    "C_GetMechanismInfo": 8,
    "C_OpenSession": 12,
    "C_CloseSession": 13,
    "C_GetAttributeValue": 24,
    "C_FindObjectsInit": 26,
    "C_FindObjects": 27,
    "C_FindObjectsFinal": 28,
}
_AT_ONCE = 100
UNAVAILABLE = ctypes.c_ulong(-1).value


class CaptureError(Exception):
    """A module that cannot be read; the message says why."""


class _Version(Structure):
    _fields_ = (("major", c_ubyte), ("minor", c_ubyte))


class SlotInfo(Structure):
    """CK_SLOT_INFO."""

    _fields_ = (
        ("description", c_ubyte * 64),
        ("manufacturer", c_ubyte * 32),
        ("flags", c_ulong),
        ("hardware", _Version),
        ("firmware", _Version),
    )


class TokenInfo(Structure):
    """CK_TOKEN_INFO."""

    _fields_ = (
        ("label", c_ubyte * 32),
        ("manufacturer", c_ubyte * 32),
        ("model", c_ubyte * 16),
        ("serial", c_ubyte * 16),
        ("flags", c_ulong),
        ("max_sessions", c_ulong),
        ("sessions", c_ulong),
        ("max_rw_sessions", c_ulong),
        ("rw_sessions", c_ulong),
        ("max_pin", c_ulong),
        ("min_pin", c_ulong),
        ("public_memory", c_ulong),
        ("free_public", c_ulong),
        ("private_memory", c_ulong),
        ("free_private", c_ulong),
        ("hardware", _Version),
        ("firmware", _Version),
        ("time", c_char * 16),
    )


class MechanismInfo(Structure):
    """CK_MECHANISM_INFO."""

    _fields_ = (("least", c_ulong), ("most", c_ulong), ("flags", c_ulong))


class _Attribute(Structure):
    _fields_ = (("type", c_ulong), ("value", c_void_p), ("length", c_ulong))


class _FunctionList(Structure):
    _fields_ = (("version", _Version), ("functions", c_void_p * 68))


class Module:
    """A module in this process, initialised; CaptureError for whatever it refuses."""

    def __init__(self, functions: Any) -> None:  # noqa: ANN401 - of ctypes
        self._functions = functions

    def slots(self) -> list[int]:
        """List the slots with a token in them."""
        count = c_ulong()
        self._call("C_GetSlotList", c_ubyte(1), None, byref(count))
        found = (c_ulong * count.value)()
        self._call("C_GetSlotList", c_ubyte(1), found, byref(count))
        return list(found[: count.value])

    def slot_info(self, slot: int) -> SlotInfo:
        """Read CK_SLOT_INFO."""
        info = SlotInfo()
        self._call("C_GetSlotInfo", c_ulong(slot), byref(info))
        return info

    def token_info(self, slot: int) -> TokenInfo:
        """Read CK_TOKEN_INFO."""
        info = TokenInfo()
        self._call("C_GetTokenInfo", c_ulong(slot), byref(info))
        return info

    def mechanisms(self, slot: int) -> list[int]:
        """List the mechanisms, in the device's own order."""
        count = c_ulong()
        self._call("C_GetMechanismList", c_ulong(slot), None, byref(count))
        found = (c_ulong * count.value)()
        self._call("C_GetMechanismList", c_ulong(slot), found, byref(count))
        return list(found[: count.value])

    def mechanism_info(self, slot: int, kind: int) -> MechanismInfo:
        """Read CK_MECHANISM_INFO."""
        info = MechanismInfo()
        self._call("C_GetMechanismInfo", c_ulong(slot), c_ulong(kind), byref(info))
        return info

    def objects(self, slot: int, attributes: Sequence[int]) -> Iterator[dict[int, bytes]]:
        """Read these attributes of each token object that is seen without a login."""
        session = c_ulong()
        read_only = c_ulong(CKF.SERIAL_SESSION)
        self._call("C_OpenSession", c_ulong(slot), read_only, None, None, byref(session))
        try:
            for obj in self._found(session):
                pairs = ((each, self._value(session, obj, each)) for each in attributes)
                yield {each: value for each, value in pairs if value is not None}
        finally:
            with suppress(CaptureError):
                self._call("C_CloseSession", session)

    def _found(self, session: c_ulong) -> list[int]:
        self._call("C_FindObjectsInit", session, None, c_ulong(0))
        found: list[int] = []
        some, count = (c_ulong * _AT_ONCE)(), c_ulong(_AT_ONCE)
        while count.value:
            self._call("C_FindObjects", session, some, c_ulong(_AT_ONCE), byref(count))
            found += some[: count.value]
        self._call("C_FindObjectsFinal", session)
        return found

    def _value(self, session: c_ulong, obj: int, attribute: int) -> bytes | None:
        """Read one attribute; None if the object has it not, or does not show it.

        So it is with a template that has anything in it, which no profile can tell of.
        """
        query = _Attribute(attribute, None, 0)
        if self._rv("C_GetAttributeValue", session, c_ulong(obj), byref(query), c_ulong(1)):
            return None
        template = attribute & CKF.ARRAY_ATTRIBUTE and attribute != CKA.ALLOWED_MECHANISMS
        if query.length == UNAVAILABLE or (template and query.length):
            return None
        room = ctypes.create_string_buffer(max(1, query.length))
        query.value = ctypes.cast(room, c_void_p)
        if self._rv("C_GetAttributeValue", session, c_ulong(obj), byref(query), c_ulong(1)):
            return None
        return room.raw[: query.length]

    def _call(self, name: str, *arguments: object) -> None:
        code = self._rv(name, *arguments)
        if code:
            known = f"CKR_{CKR(code).name}" if code in set(CKR) else hex(code)
            raise CaptureError(f"{name} gave {known}")

    def _rv(self, name: str, *arguments: object) -> int:
        pointer = self._functions[_PLACES[name]]
        if not pointer:
            raise CaptureError(f"the module has no {name}")
        return int(ctypes.CFUNCTYPE(c_ulong)(pointer)(*arguments))


@contextmanager
def opened(path: Path) -> Iterator[Module]:
    """Load a module, initialise it, and finalise it at the end; CaptureError if it is none."""
    try:
        library = ctypes.CDLL(str(path))
        function_list = POINTER(_FunctionList)()
        code = library.C_GetFunctionList(byref(function_list))
    except (OSError, AttributeError) as error:
        raise CaptureError(f"{path} is no PKCS#11 module: {error}") from error
    if code or not function_list:
        raise CaptureError(f"{path} gives no list of its functions")
    module = Module(function_list.contents.functions)
    module._call("C_Initialize", None)  # noqa: SLF001 - its other half stands here
    try:
        yield module
    finally:
        with suppress(CaptureError):
            module._call("C_Finalize", None)  # noqa: SLF001

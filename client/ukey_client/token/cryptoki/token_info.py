"""The limits of a PIN's length, which python-pkcs11 does not show: C_GetTokenInfo by hand.

The module is loaded and initialised by python-pkcs11 already; loading it again only adds a
reference to the same library, so that this sees the same slots.
"""

import ctypes
from typing import ClassVar

from ukey_client.token.port import PinLimits

_CKR_OK = 0
_UNAVAILABLE = ctypes.c_ulong(-1).value
_C_GET_TOKEN_INFO = 6  # place in CK_FUNCTION_LIST, PKCS#11 v3.2 §5.1


class _Version(ctypes.Structure):
    _fields_: ClassVar = [("major", ctypes.c_ubyte), ("minor", ctypes.c_ubyte)]


class _FunctionList(ctypes.Structure):
    """The head of CK_FUNCTION_LIST."""

    _fields_: ClassVar = [
        ("version", _Version),
        ("functions", ctypes.c_void_p * (_C_GET_TOKEN_INFO + 1)),
    ]


class _TokenInfo(ctypes.Structure):
    """CK_TOKEN_INFO, PKCS#11 v3.2 §3.4."""

    _fields_: ClassVar = [
        ("label", ctypes.c_ubyte * 32),
        ("manufacturer_id", ctypes.c_ubyte * 32),
        ("model", ctypes.c_ubyte * 16),
        ("serial_number", ctypes.c_ubyte * 16),
        ("flags", ctypes.c_ulong),
        ("max_session_count", ctypes.c_ulong),
        ("session_count", ctypes.c_ulong),
        ("max_rw_session_count", ctypes.c_ulong),
        ("rw_session_count", ctypes.c_ulong),
        ("max_pin_len", ctypes.c_ulong),
        ("min_pin_len", ctypes.c_ulong),
        ("total_public_memory", ctypes.c_ulong),
        ("free_public_memory", ctypes.c_ulong),
        ("total_private_memory", ctypes.c_ulong),
        ("free_private_memory", ctypes.c_ulong),
        ("hardware_version", _Version),
        ("firmware_version", _Version),
        ("utc_time", ctypes.c_ubyte * 16),
    ]


_GetTokenInfo = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.POINTER(_TokenInfo))


def read_pin_limits(module: str, slot_id: int) -> PinLimits:
    """Ask the initialised module at this path for the PIN lengths of the token in a slot.

    Nothing is raised: what the module does not tell is None.
    """
    nothing = PinLimits(None, None)
    try:
        library = ctypes.CDLL(module)
        pointer = ctypes.POINTER(_FunctionList)()
        library.C_GetFunctionList.restype = ctypes.c_ulong
        if library.C_GetFunctionList(ctypes.byref(pointer)) != _CKR_OK or not pointer:
            return nothing
    except (OSError, AttributeError):
        return nothing
    info = _TokenInfo()
    address = pointer.contents.functions[_C_GET_TOKEN_INFO]
    if not address or _GetTokenInfo(address)(slot_id, ctypes.byref(info)) != _CKR_OK:
        return nothing
    shortest, longest = int(info.min_pin_len), int(info.max_pin_len)
    if longest in {0, _UNAVAILABLE} or shortest > longest:
        return nothing
    return PinLimits(shortest, longest)

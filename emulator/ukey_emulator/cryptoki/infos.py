"""The structs that tell of slots, tokens, sessions and mechanisms, as people read them."""

import struct
from collections.abc import Callable
from typing import Any

from ukey_emulator.terms import CKS

from .names import name_of

_SLOT = struct.Struct("<64s32sQ4B4x")
_TOKEN = struct.Struct("<32s32s16s16s11Q4B16s4x")
_SESSION = struct.Struct("<4Q")
_MECHANISM = struct.Struct("<3Q")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace").rstrip(" \0")


def _slot(info: bytes) -> dict[str, Any]:
    description, manufacturer, flags, *_ = _SLOT.unpack(info)
    return {
        "description": _text(description),
        "manufacturer": _text(manufacturer),
        "flags": hex(flags),
    }


def _token(info: bytes) -> dict[str, Any]:
    label, manufacturer, model, serial, flags, *_ = _TOKEN.unpack(info)
    return {
        "label": _text(label),
        "manufacturer": _text(manufacturer),
        "model": _text(model),
        "serial": _text(serial),
        "flags": hex(flags),
    }


def _session(info: bytes) -> dict[str, Any]:
    slot, state, flags, error = _SESSION.unpack(info)
    return {"slot": slot, "state": name_of(CKS, state), "flags": hex(flags), "error": error}


def _mechanism(info: bytes) -> dict[str, Any]:
    least, most, flags = _MECHANISM.unpack(info)
    return {"min": least, "max": most, "flags": hex(flags)}


INFOS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "SLOT_INFO": _slot,
    "TOKEN_INFO": _token,
    "SESSION_INFO": _session,
    "MECHANISM_INFO": _mechanism,
}
"""How each is read, by the word of functions.def; struct.error if it has another size."""

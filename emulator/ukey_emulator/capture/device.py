"""What there is to know of a token, as the members of a profile."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ukey_emulator.chip.mechanisms import MECHANISMS
from ukey_emulator.terms import CKA, CKF, CKM, CKO

from .module import UNAVAILABLE, CaptureError, MechanismInfo, Module, SlotInfo, TokenInfo
from .objects import told

_PIN, _SO_PIN = "123456", "12345678"
_DIGITS = "1234567890"
_LONGEST_PIN = 255
_FEWEST, _LONGEST_SERIAL = 4, 16
_TRIES = 10
_MOST_SESSIONS = 1 << 20
_MECHANISM_FLAGS = (
    *("HW", "MESSAGE_ENCRYPT", "MESSAGE_DECRYPT", "MESSAGE_SIGN", "MESSAGE_VERIFY"),
    *("MULTI_MESSAGE", "FIND_OBJECTS", "ENCRYPT", "DECRYPT", "DIGEST", "SIGN", "SIGN_RECOVER"),
    *("VERIFY", "VERIFY_RECOVER", "GENERATE", "GENERATE_KEY_PAIR", "WRAP", "UNWRAP", "DERIVE"),
    *("EC_F_P", "EC_F_2M", "EC_ECPARAMETERS", "EC_OID", "EC_UNCOMPRESS", "EC_COMPRESS"),
    *("EC_CURVENAME", "ENCAPSULATE", "DECAPSULATE", "EXTENSION"),
)
# Without what makes them up, keys that are not public cannot be there.
_HELD = {int(CKO.CERTIFICATE), int(CKO.DATA), int(CKO.PUBLIC_KEY)}

Members = dict[str, Any]


def chosen(module: Module, slot: int | None, token: str | None) -> int:
    """Give the slot that is meant: of that number, with the token of that label, or the only one.

    CaptureError if there is none or it is not clear.
    """
    slots = module.slots()
    labels = {each: text_of(module.token_info(each).label) for each in slots}
    meant = [each for each in slots if slot in (None, each) and token in (None, labels[each])]
    if len(meant) == 1:
        return meant[0]
    there = ", ".join(f"{each} ({label!r})" for each, label in labels.items()) or "none"
    what = "which token is meant is not clear" if meant else "there is no such token"
    raise CaptureError(f"{what}: choose by --slot or --token; slots with a token are: {there}")


def captured(module: Module, slot: int, *, name: str, objects: bool) -> tuple[Members, list[str]]:
    """Read a token; give the members of its profile, and what could not be taken over."""
    info, remarks = module.token_info(slot), list[str]()
    members: Members = {
        "name": name,
        "about": f"captured from {text_of(info.manufacturer)} {text_of(info.model)}",
        "quirks": ["no-profile-objects"],
        "token": _token(info, remarks),
        "slot": _slot(module.slot_info(slot)),
        "pins": _pins(info, remarks),
    }
    if info.flags & CKF.PROTECTED_AUTHENTICATION_PATH:
        members["pad"] = {}
    members["sessions"] = {
        "max": _sessions(info.max_sessions),
        "max_rw": _sessions(info.max_rw_sessions),
    }
    memory = {"public": info.public_memory, "private": info.private_memory}
    known = {each: size for each, size in memory.items() if size < UNAVAILABLE >> 1}
    if known:
        members["memory"] = known
    kinds = module.mechanisms(slot)
    told_of = {kind: module.mechanism_info(slot, kind) for kind in kinds}
    members["mechanisms"] = _mechanisms(told_of, remarks)
    if objects:
        members["object"] = _objects(module.objects(slot, [*map(int, CKA)]), remarks)
    return members, remarks


def text_of(field: Iterable[int]) -> str:
    """Read a field of text, which blanks fill up, or NULs."""
    text = bytes(field).partition(b"\0")[0].decode(errors="replace").rstrip(" ")
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _version(version: Any) -> str:  # noqa: ANN401 - of ctypes
    return f"{version.major}.{version.minor}"


def _token(info: TokenInfo, remarks: list[str]) -> Members:
    token: Members = {
        "manufacturer": text_of(info.manufacturer),
        "model": text_of(info.model),
        "hardware_version": _version(info.hardware),
        "firmware_version": _version(info.firmware),
        "serial": _serial(text_of(info.serial)),
        "rng": bool(info.flags & CKF.RNG),
        "dual_crypto": bool(info.flags & CKF.DUAL_CRYPTO_OPERATIONS),
        "saves_digests": bool(info.flags & CKF.RESTORE_KEY_NOT_NEEDED),
        "write_protected": bool(info.flags & CKF.WRITE_PROTECTED),
    }
    label = re.sub("[{}]", "-", text_of(info.label))
    if label:
        token["label"] = label
    if not info.flags & CKF.LOGIN_REQUIRED:
        remarks.append("the device wants no login: the emulated one does")
    if not info.flags & CKF.TOKEN_INITIALIZED:
        remarks.append("the token is not initialised: have the emulated one so by --blank")
    return token


def _serial(serial: str) -> Members:
    """Make a rule by which serial numbers look like this one."""
    found = re.fullmatch(r"([ -~]*?)([0-9]+|[0-9A-Fa-f]+)", serial)
    if found is None:
        return {}
    drawn = min(len(found[2]), _LONGEST_SERIAL)
    prefix = found[1]
    if drawn < _FEWEST or len(prefix) + drawn > _LONGEST_SERIAL:
        return {}
    rule: Members = {"digits" if found[2].isdigit() else "hex": drawn}
    return {"prefix": prefix, **rule} if prefix else rule


def _slot(info: SlotInfo) -> Members:
    return {
        "description": re.sub("[{}]", "-", text_of(info.description)),
        "manufacturer": text_of(info.manufacturer),
        "hardware_version": _version(info.hardware),
        "firmware_version": _version(info.firmware),
        "removable": bool(info.flags & CKF.REMOVABLE_DEVICE),
        "hardware": bool(info.flags & CKF.HW_SLOT),
    }


def _pins(info: TokenInfo, remarks: list[str]) -> Members:
    least = min(max(info.min_pin, 1), _LONGEST_PIN)
    most = min(max(info.max_pin, least), _LONGEST_PIN)
    pins: Members = {"min": least, "max": most, "tries": _TRIES}
    for name, pin in (("user", _PIN), ("so", _SO_PIN)):
        pins[name] = pin if least <= len(pin) <= most else (_DIGITS * 26)[:least]
    remarks.append(
        f"PINs and their tries cannot be read: the emulated key has the user PIN {pins['user']}, "
        f"the SO PIN {pins['so']} and {_TRIES} tries"
    )
    for member, low, final, locked in (
        ("tries_left", CKF.USER_PIN_COUNT_LOW, CKF.USER_PIN_FINAL_TRY, CKF.USER_PIN_LOCKED),
        ("so_tries_left", CKF.SO_PIN_COUNT_LOW, CKF.SO_PIN_FINAL_TRY, CKF.SO_PIN_LOCKED),
    ):
        for flag, left in ((locked, 0), (final, 1), (low, _TRIES - 1)):
            if info.flags & flag:
                pins[member] = left
                break
    return pins


def _sessions(most: int) -> int:
    return most if most <= _MOST_SESSIONS else 0


def _mechanisms(told_of: dict[int, MechanismInfo], remarks: list[str]) -> Members:
    names = {kind: _name(kind) for kind in told_of}
    shown = [names[kind] for kind in told_of if kind not in MECHANISMS]
    mechanisms: Members = {
        "only": [names[kind] for kind in told_of if kind in MECHANISMS],
        "shown": shown,
        "order": list(names.values()),
    }
    if shown:
        remarks.append(f"listed, but refused when they are used: {', '.join(shown)}")
    for kind, info in told_of.items():
        mechanisms[names[kind]] = {
            "sizes": [min(info.least, 1 << 62), min(info.most, 1 << 62)],
            "flags": _flags(info.flags),
        }
    return mechanisms


def _name(kind: int) -> str:
    return f"CKM_{CKM(kind).name}" if kind in set(CKM) else f"{kind:#x}"


def _flags(flags: int) -> list[str]:
    names = []
    for name in _MECHANISM_FLAGS:
        if flags & CKF[name]:
            names.append(f"CKF_{name}")
            flags &= ~CKF[name]
    return [*names, hex(flags)] if flags else names


def _objects(found: Iterable[dict[int, bytes]], remarks: list[str]) -> list[Members]:
    objects = []
    for attributes in found:
        if int.from_bytes(attributes.get(CKA.CLASS, b""), "little") in _HELD:
            objects.append({"exact": True, **told(attributes)})
        else:
            remarks.append("an object that is no certificate, data or public key is left out")
    return objects


def default_name(module: Path) -> str:
    """Give the name of a profile that is captured by a module."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", module.name.partition(".")[0])

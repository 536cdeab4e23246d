"""Looks at and prepares a token by raw calls, in a process of its own.

A module that crashes or hangs then costs an answer, not the run; and the module's environment
(which SoftHSM2 reads when it is initialised) is that of this process alone.
`python -m ukey_harness.device.examiner` takes one request as JSON from standard input, so that
PINs are on no command line, and writes one answer as JSON.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from ukey_harness.cryptoki import CryptokiError, Module, ModuleLoadError
from ukey_harness.cryptoki.module import SO, USER, padded_text
from ukey_harness.cryptoki.returns import SLOT_FLAGS, TOKEN_FLAGS, flag_names, return_name

TIME_LIMIT = 60.0
TOKEN_INITIALIZED = 0x400

CKA_CLASS = 0x0
CKO_HW_FEATURE = 0x5
CKA_HW_FEATURE_TYPE = 0x300
# The vendor-defined object by which a key may show the number of tries (facts in the README).
TRIES_FEATURE = 0x80000001
USER_TRIES_LEFT = 0x80554B01


class DeviceError(Exception):
    """The device cannot be used as its file says; the message says why and what to do."""


def ask(
    request: Mapping[str, Any],
    environment: Mapping[str, str],
    program: str = "ukey_harness.device.examiner",
) -> dict[str, Any]:
    """Put one request to a new examiner process; DeviceError when it has no good answer."""
    command = [sys.executable, "-m", program]
    what = request.get("module") or request.get("reader")
    try:
        done = subprocess.run(
            command,
            input=json.dumps(request),
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"{what} did not answer '{request['verb']}' within {TIME_LIMIT:.0f} s"
        ) from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise DeviceError(f"{what} ended the process: {last[0]}") from None
    if "error" in answer:
        raise DeviceError(answer["error"])
    return answer


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    try:
        answer = _VERBS[request.pop("verb")](**request)
    except (ModuleLoadError, CryptokiError, DeviceError) as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout, ensure_ascii=False)


@contextmanager
def _initialized(path: str) -> Iterator[Module]:
    module = Module(path)
    module.initialize()
    try:
        yield module
    finally:
        with suppress(CryptokiError):
            module.finalize()


def _slot(module: Module, label: str, serial: str) -> int:
    """Return the slot whose token bears that label and serial number ("" is any)."""
    seen = []
    for slot in module.slots():
        token = module.structure("GetTokenInfo", "CK_TOKEN_INFO", slot)
        names = padded_text(token.label), padded_text(token.serialNumber)
        if (not label or names[0] == label) and (not serial or names[1] == serial):
            return slot
        seen.append(f"{names[0]!r} ({names[1]})")
    raise DeviceError(
        f"no token with label {label!r} and serial number {serial!r} in {module.path}; "
        f"there are: {', '.join(seen) or 'none'}"
    )


def _version(structure: Any) -> str:  # noqa: ANN401 - a C struct
    return f"{structure.major}.{structure.minor}"


def examine(module: str, label: str, serial: str) -> dict[str, Any]:
    """Return what module, slot and token say of themselves; changes nothing."""
    with _initialized(module) as loaded:
        slot = _slot(loaded, label, serial)
        info = loaded.structure("GetInfo", "CK_INFO")
        slot_info = loaded.structure("GetSlotInfo", "CK_SLOT_INFO", slot)
        token = loaded.structure("GetTokenInfo", "CK_TOKEN_INFO", slot)
        return {
            "info": {
                "cryptoki": _version(info.cryptokiVersion),
                "manufacturer": padded_text(info.manufacturerID),
                "library": padded_text(info.libraryDescription),
                "library_version": _version(info.libraryVersion),
                "table": loaded.table_version,
            },
            "slot": {
                "description": padded_text(slot_info.slotDescription),
                "manufacturer": padded_text(slot_info.manufacturerID),
                "flags": flag_names(slot_info.flags, SLOT_FLAGS),
            },
            "token": {
                "label": padded_text(token.label),
                "manufacturer": padded_text(token.manufacturerID),
                "model": padded_text(token.model),
                "serial": padded_text(token.serialNumber),
                "flags": flag_names(token.flags, TOKEN_FLAGS),
                "pin_length": [int(token.ulMinPinLen), int(token.ulMaxPinLen)],
                "hardware": _version(token.hardwareVersion),
                "firmware": _version(token.firmwareVersion),
            },
            "mechanisms": [f"0x{each:X}" for each in sorted(loaded.mechanisms(slot))],
            "tries_left": _tries_left(loaded, slot),
        }


def _tries_left(module: Module, slot: int) -> int | None:
    """Return the number of tries that the token's feature object shows, None without one."""
    session = module.open_session(slot)
    try:
        wanted = [(CKA_CLASS, CKO_HW_FEATURE), (CKA_HW_FEATURE_TYPE, TRIES_FEATURE)]
        for handle in module.find(session, wanted):
            return module.number(session, handle, USER_TRIES_LEFT)
    except CryptokiError:
        return None  # a token that knows no feature objects may refuse the search
    finally:
        module.must("CloseSession", session)
    return None


def lock_trial(module: str, label: str, serial: str, pin: str, most: int) -> dict[str, Any]:
    """Log in with a wrong PIN up to `most` times and see whether the token locks itself.

    Only for tokens that are made anew: afterwards this one may be locked for good.
    locked_after is the number of wrong PINs after which the right one was refused, None if never.
    """
    wrong = ("0" if not pin.startswith("0") else "1") * len(pin)
    with _initialized(module) as loaded:
        slot = _slot(loaded, label, serial)
        session = loaded.open_session(slot)
        secret = wrong.encode()
        seen: dict[str, Any] = {"locked_after": None, "tried": most}
        for count in range(1, most + 1):
            code = loaded.call("Login", session, USER, secret, len(secret))
            if code == 0:
                raise DeviceError(f"{module} accepted a wrong PIN")
            token = loaded.structure("GetTokenInfo", "CK_TOKEN_INFO", slot)
            flags = flag_names(token.flags, TOKEN_FLAGS)
            if count == 1:
                seen["after_one"] = {"flags": flags, "tries_left": _tries_left(loaded, slot)}
            if "CKF_USER_PIN_LOCKED" in flags or return_name(code) == "CKR_PIN_LOCKED":
                seen["locked_after"] = count
                break
        seen["right_pin"] = return_name(loaded.call("Login", session, USER, pin.encode(), len(pin)))
        return seen


def initialise(module: str, label: str, serial: str, so_pin: str, pin: str) -> dict[str, Any]:
    """C_InitToken and C_InitPIN: on the named token, or on a blank one when serial is empty."""
    with _initialized(module) as loaded:
        slot = _slot(loaded, "", serial) if serial else _blank_slot(loaded)
        loaded.init_token(slot, so_pin, label)
        # A token may come back in another slot (SoftHSM2's does).
        slot = _slot(loaded, label, serial)
        _init_pin(loaded, slot, so_pin, pin)
        token = loaded.structure("GetTokenInfo", "CK_TOKEN_INFO", slot)
        return {"serial": padded_text(token.serialNumber), "slot": slot}


def unblock(module: str, label: str, serial: str, so_pin: str, pin: str) -> dict[str, Any]:
    """C_InitPIN by the SO: the user PIN becomes `pin`, its lock is undone (§5.5.8)."""
    with _initialized(module) as loaded:
        _init_pin(loaded, _slot(loaded, label, serial), so_pin, pin)
        return {}


def present(module: str, label: str, serial: str) -> dict[str, Any]:
    """Tell whether the token is there."""
    with _initialized(module) as loaded:
        try:
            _slot(loaded, label, serial)
        except DeviceError:
            return {"present": False}
        return {"present": True}


def login(module: str, label: str, serial: str, user: str, pin: str) -> dict[str, Any]:
    """C_Login alone; return the name of what it returned. "user" or "so"."""
    with _initialized(module) as loaded:
        session = loaded.open_session(_slot(loaded, label, serial), write=True)
        try:
            loaded.login(session, SO if user == "so" else USER, pin)
        except CryptokiError as error:
            return {"rv": error.name}
        return {"rv": "CKR_OK"}


def _init_pin(module: Module, slot: int, so_pin: str, pin: str) -> None:
    session = module.open_session(slot, write=True)
    module.login(session, SO, so_pin)
    try:
        module.init_pin(session, pin)
    finally:
        module.must("Logout", session)
        module.must("CloseSession", session)


def _blank_slot(module: Module) -> int:
    for slot in module.slots():
        token = module.structure("GetTokenInfo", "CK_TOKEN_INFO", slot)
        if not token.flags & TOKEN_INITIALIZED:
            return slot
    raise DeviceError(f"{module.path} shows no token that is still blank")


_VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "examine": examine,
    "lock_trial": lock_trial,
    "initialise": initialise,
    "unblock": unblock,
    "present": present,
    "login": login,
}

if __name__ == "__main__":
    main()

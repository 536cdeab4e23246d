"""The whole state of keys, as their files have it and as a living chip shows it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from program import Program, attributes

from ukey_emulator.chip import Chip, Role
from ukey_emulator.chip.objects import Object
from ukey_emulator.chip.pins import PinRecord
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.cryptoki.wire import Mechanism, Out
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.slots import Slots
from ukey_emulator.terms import CKA, CKK, CKM, CKO, CKU

PINS = {
    Role.USER: (b"123456", b"654321"),
    Role.SO: (b"12345678", b"87654321"),
}
"""All PINs that these tests ever set."""

_SIGNING = {CKK.RSA: CKM.SHA256_RSA_PKCS, CKK.EC: CKM.ECDSA_SHA256}
Objects = dict[bytes, dict[int, bytes]]


class BrokenKeyError(AssertionError):
    """A key that does not work."""


@dataclass(frozen=True)
class KeyState:
    """What is on a key. `pins` are (left, most) by role, `opens` which PIN is the right one.

    `private` is None where nobody has opened them.
    """

    serial: str
    label: str
    pins: dict[Role, tuple[int, int]]
    opens: dict[Role, bytes | None]
    notes: dict[str, bytes]
    public: Objects
    outsides: Objects
    private: Objects | None = None


@dataclass(frozen=True)
class State:
    """What is in a rack's folder: keys, snapshots, by their names."""

    keys: dict[str, KeyState]
    snapshots: dict[str, KeyState] = field(default_factory=dict)


def chips(keyring: Keyring) -> dict[str, Chip]:
    """Give the chips of the keys that are plugged in."""
    return {slot.name: slot.chip for slot in keyring._slots if slot.chip is not None}


def seen(keyring: Keyring) -> State:
    """See the keys of a living rack, and touch nothing."""
    return State({name: state_of(chip) for name, chip in chips(keyring).items()})


def state_of(chip: Chip) -> KeyState:
    """Give what a chip shows; private objects only if they are open."""
    records = {role: record for role in Role if (record := chip.pin(role)) is not None}
    opens: dict[Role, bytes | None] = dict.fromkeys(Role)
    for role, record in records.items():
        opens[role] = _right_pin(role, record.salt, record.wrapped)
    return KeyState(
        chip.identity.serial,
        chip.label,
        {role: (record.tries_left, record.tries) for role, record in records.items()},
        opens,
        dict(chip._applets),
        _named(chip.find({}, private=False)),
        _named(chip.outsides()),
        _named(chip._private.find({})) if chip._users[Role.USER] else None,
    )


@cache
def _right_pin(role: Role, salt: bytes, wrapped: bytes) -> bytes | None:
    record = PinRecord(salt, wrapped, 1, 1)
    return next((pin for pin in PINS[role] if record.open(pin)), None)


def _named(objects: Iterable[Object]) -> Objects:
    found = {}
    for each in objects:
        name = each.attributes[CKA.UNIQUE_ID]
        if name in found:
            raise BrokenKeyError(f"two objects {name!r}")
        found[name] = dict(each.attributes)
    return found


def look(folder: Path) -> State:
    """Open the keys that are in a rack's folder, see that they are whole and work, and tell.

    BrokenKeyError if one does not. The folder is changed by that.
    """
    keyring = Keyring(folder / "keys", Slots(), lasting=False)
    try:
        left = [path.name for path in folder.rglob("*.part")]
        if left:
            raise BrokenKeyError(f"left over: {left}")
        snapshots = {}
        for info in keyring.snapshots():
            path = folder / "keys" / "snapshot"
            chip = Chip.of(path, keyring._snapshots.image(info.name), lasting=False)
            snapshots[info.name] = _opened(chip)
            chip.close()
            path.unlink()
        found = State({name: _opened(chip) for name, chip in chips(keyring).items()}, snapshots)
        for slot in keyring._slots:
            _use(keyring, slot.number, found.keys[slot.name])
    finally:
        keyring.close()
    logs = {path.name for path in (folder / "keys").iterdir()} - {f"{n}.ukey" for n in found.keys}
    if logs:
        raise BrokenKeyError(f"left over: {logs}")
    return found


def _opened(chip: Chip) -> KeyState:
    whole = chip._store._file.execute("PRAGMA integrity_check").fetchall()
    if whole != [("ok",)]:
        raise BrokenKeyError(f"integrity_check: {whole}")
    state = state_of(chip)
    pin = state.opens[Role.USER]
    if pin is None or not state.pins[Role.USER][0]:
        return state
    chip.log_in(Role.USER, pin)
    private = state_of(chip).private
    chip.log_out(Role.USER, chip.era)
    return replace(state, private=private)


def _use(keyring: Keyring, slot: int, state: KeyState) -> None:
    """Use the key as a program does: log in, sign with each key, verify; BrokenKeyError."""
    pin = state.opens[Role.USER]
    if pin is None or not state.pins[Role.USER][0]:
        return
    program = Program(Face(keyring._slots, lambda *_: None))
    session = program.open(slot)
    program.C_Login(session, CKU.USER, pin)
    for key in program.find(session, CLASS=int(CKO.PRIVATE_KEY), SIGN=True):
        kind = int.from_bytes(program.read(session, key, CKA.KEY_TYPE), "little")
        info = program.read(session, key, CKA.PUBLIC_KEY_INFO)
        publics = program.find(session, CLASS=int(CKO.PUBLIC_KEY), PUBLIC_KEY_INFO=info)
        if len(publics) != 1:
            raise BrokenKeyError(f"a private key with {len(publics)} public ones")
        mechanism = Mechanism(_SIGNING[CKK(kind)], None)
        program.C_SignInit(session, mechanism, key)
        if program.read(session, key, CKA.ALWAYS_AUTHENTICATE) == b"\1":
            program.C_Login(session, CKU.CONTEXT_SPECIFIC, pin)
        signature = program.C_Sign(session, b"works", Out(asked=True, capacity=512))
        program.C_VerifyInit(session, mechanism, publics[0])
        program.C_Verify(session, b"works", signature)
    made = program.C_CreateObject(session, attributes(CLASS=int(CKO.DATA), TOKEN=True), True)
    program.C_DestroyObject(session, made)
    program.C_CloseAllSessions(slot)


# What differs between two runs of the same

NOTHING = KeyState("", "", {}, {}, {}, {}, {})


def asdict_of(state: KeyState, known: KeyState | None, *, counters: bool) -> dict[str, Any]:
    """Give the parts of a state; without `counters` they say only how many tries PINs have.

    With `known` they are such that two runs of the same from there on give the same: of objects
    that are new the values of chance are left out, of a new key the serial number.
    """
    parts: dict[str, Any] = {part.name: getattr(state, part.name) for part in fields(state)}
    if not counters:
        parts["pins"] = {role: most for role, (_, most) in state.pins.items()}
    if known is not None:
        old = {*known.public, *known.outsides, *(known.private or ())}
        for part in ("public", "outsides", "private"):
            if parts[part] is not None:
                parts[part] = _objects(parts[part], old)
        notes = state.notes.items()
        parts["notes"] = {name: known.notes.get(name) == note for name, note in notes}
        parts["serial"] = state.serial if known.serial else ""
    return parts


_CHANCE = frozenset(
    {
        CKA.UNIQUE_ID,
        CKA.VALUE,
        CKA.MODULUS,
        CKA.PRIVATE_EXPONENT,
        CKA.PRIME_1,
        CKA.PRIME_2,
        CKA.EXPONENT_1,
        CKA.EXPONENT_2,
        CKA.COEFFICIENT,
        CKA.EC_POINT,
        CKA.PUBLIC_KEY_INFO,
        CKA.CHECK_VALUE,
        CKA.ID,
    }
)


def _objects(objects: Objects, old: set[bytes]) -> Any:
    kept = {name: attrs for name, attrs in objects.items() if name in old}
    new = sorted(
        sorted((kind, b"" if kind in _CHANCE else value) for kind, value in attrs.items())
        for name, attrs in objects.items()
        if name not in old
    )
    return kept, new

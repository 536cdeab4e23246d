"""Slot and token management (PKCS#11 3.2 §5.5)."""

import functools
import struct

from ukey_emulator.chip import Chip, Refusal, Role
from ukey_emulator.chip.pins import PinRecord
from ukey_emulator.profiles.quirks import Quirk
from ukey_emulator.terms import CKF, CKR

from .application import Application
from .operations import require_pointer
from .pad import pin_of
from .session import Session
from .wire import Out

_SLOT_INFO = struct.Struct("<64s32sQ4B4x")
_TOKEN_INFO = struct.Struct("<32s32s16s16s11Q4B16s4x")
_MECHANISM_INFO = struct.Struct("<3Q")


def listed(out: Out, numbers: list[int]) -> list[int] | int:
    """Give a list of numbers by the convention for lists (PKCS#11 3.2 §5.2)."""
    if not out.asked:
        raise Refusal(CKR.ARGUMENTS_BAD, "the count pointer is NULL")
    if out.capacity is None:
        return len(numbers)
    if out.capacity < len(numbers):
        raise Refusal(CKR.BUFFER_TOO_SMALL, results=(len(numbers),))
    return numbers


def C_GetSlotList(app: Application, token_present: bool, out: Out) -> list[int] | int:
    """List the slots, or those with a key in them (PKCS#11 3.2 §5.5.1)."""
    if out.asked and out.capacity is None:
        app.look_for_slots()
    slots = [slot for slot in app.visible_slots() if slot.chip is not None or not token_present]
    return listed(out, [slot.number for slot in slots])


def C_GetSlotInfo(app: Application, number: int, wanted: bool) -> bytes:
    """Tell of a slot (PKCS#11 3.2 §5.5.2)."""
    slot = app.slot(number)
    require_pointer(wanted)
    facts = slot.facts
    flags = CKF.REMOVABLE_DEVICE if facts.removable else 0
    if facts.hardware:
        flags |= CKF.HW_SLOT
    if slot.chip is not None:
        flags |= CKF.TOKEN_PRESENT
    return _SLOT_INFO.pack(
        padded(slot.description, 64),
        padded(facts.manufacturer, 32),
        flags,
        *facts.hardware_version,
        *facts.firmware_version,
    )


def C_GetTokenInfo(app: Application, number: int, wanted: bool) -> bytes:
    """Tell of the token in a slot (PKCS#11 3.2 §5.5.3)."""
    chip = app.chip(number)
    require_pointer(wanted)
    identity = chip.identity
    sessions = app.sessions(chip)
    return _TOKEN_INFO.pack(
        padded(chip.label, 32),
        padded(identity.manufacturer, 32),
        padded(identity.model, 16),
        padded(identity.serial, 16),
        _token_flags(chip),
        identity.max_sessions,  # 0 is no limit
        len(sessions),
        identity.max_rw_sessions,
        sum(session.writable for session in sessions),
        identity.max_pin_length,
        identity.min_pin_length,
        *chip.memory(),
        *identity.hardware_version,
        *identity.firmware_version,
        b" " * 16,
    )


def _token_flags(chip: Chip) -> int:
    identity = chip.identity
    told = (
        (CKF.LOGIN_REQUIRED, True),
        (CKF.RNG, identity.rng),
        # What can be saved of a session is a digest, and that is restored without any key.
        (CKF.RESTORE_KEY_NOT_NEEDED, identity.saves_digests),
        (CKF.DUAL_CRYPTO_OPERATIONS, identity.dual_crypto),
        (CKF.WRITE_PROTECTED, identity.write_protected),
        (CKF.PROTECTED_AUTHENTICATION_PATH, identity.pad is not None),
        (CKF.TOKEN_INITIALIZED, chip.initialised),
    )
    flags = sum(int(flag) for flag, there in told if there)
    user, so = chip.pin(Role.USER), chip.pin(Role.SO)
    if user is not None:
        flags |= CKF.USER_PIN_INITIALIZED
    if Quirk.NO_TRIES in identity.quirks:
        return flags
    if user is not None:
        flags |= _pin_flags(
            user, CKF.USER_PIN_COUNT_LOW, CKF.USER_PIN_FINAL_TRY, CKF.USER_PIN_LOCKED
        )
    if so is not None:
        flags |= _pin_flags(so, CKF.SO_PIN_COUNT_LOW, CKF.SO_PIN_FINAL_TRY, CKF.SO_PIN_LOCKED)
    return flags


def _pin_flags(record: PinRecord, low: CKF, final: CKF, locked: CKF) -> int:
    if record.locked:
        return locked
    flags = low if record.tries_left < record.tries else 0
    return flags | (final if record.tries_left == 1 else 0)


def C_WaitForSlotEvent(
    app: Application,
    flags: int,
    wanted: bool,
    reserved: bool,
) -> int:
    """Wait until a key is plugged in or pulled out (PKCS#11 3.2 §5.5.4)."""
    require_pointer(wanted)
    if reserved:
        raise Refusal(CKR.ARGUMENTS_BAD, "pReserved is not NULL")
    while True:
        turn = app.slots.turn  # before the look: what comes after it ends the wait
        if app.ended:
            raise Refusal(CKR.CRYPTOKI_NOT_INITIALIZED, "C_Finalize was called meanwhile")
        number = app.next_event()
        if number is not None:
            return number
        if flags & CKF.DONT_BLOCK:
            raise Refusal(CKR.NO_EVENT)
        app.slots.wait(turn)


def C_GetMechanismList(app: Application, number: int, out: Out) -> list[int] | int:
    """List the mechanisms of a token (PKCS#11 3.2 §5.5.5)."""
    chip = app.chip(number)
    return listed(out, chip.listed())


def C_GetMechanismInfo(app: Application, number: int, kind: int, wanted: bool) -> bytes:
    """Tell of a mechanism (PKCS#11 3.2 §5.5.6)."""
    told = app.chip(number).told(kind)
    require_pointer(wanted)
    return _MECHANISM_INFO.pack(*told.sizes, told.flags)


def C_InitToken(app: Application, number: int, so_pin: bytes | None, label: bytes | None) -> None:
    """Initialise the token: wipe it and give it a label (PKCS#11 3.2 §5.5.7)."""
    chip = app.chip(number)
    if label is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "the label is NULL")
    if so_pin is None and chip.identity.pad is not None:
        # While the holder types, nothing is held: only then is the key closed to others.
        chip.require_unprotected()
        with app.slot(number).closed() as closed:
            _require_closed(closed=closed)
    pin = pin_of(app, chip, so_pin)
    with app.slot(number).closed() as closed:
        _require_closed(closed=closed)
        # Many a program hands over a string of C, which ends at its NUL, and no blanks.
        label = label.partition(b"\0")[0]
        try:
            text = label.decode().rstrip(" ")
        except UnicodeDecodeError:
            raise Refusal(CKR.ARGUMENTS_BAD, "the label is not UTF-8") from None
        chip.initialise(pin, text)


def _require_closed(*, closed: bool) -> None:
    if not closed:
        raise Refusal(CKR.SESSION_EXISTS)


def C_InitPIN(app: Application, session: Session, pin: bytes | None) -> None:
    """Set the user's PIN as the SO (PKCS#11 3.2 §5.5.8)."""
    session.chip.require_unprotected()
    if app.role(session.chip) is not Role.SO:
        raise Refusal(CKR.USER_NOT_LOGGED_IN, "the SO sets the user's PIN")
    session.chip.set_user_pin(pin_of(app, session.chip, pin))


def C_SetPIN(app: Application, session: Session, old: bytes | None, new: bytes | None) -> None:
    """Change the PIN of who is logged in, or the user's (PKCS#11 3.2 §5.5.9)."""
    session.chip.require_unprotected()
    if not session.writable:
        raise Refusal(CKR.SESSION_READ_ONLY)
    chip = session.chip
    if (old is None) != (new is None) or (old is None and chip.identity.pad is None):
        raise Refusal(CKR.ARGUMENTS_BAD, "a PIN is NULL")
    role = Role.SO if app.role(session.chip) is Role.SO else Role.USER
    if session.chip.pin(role) is None:
        # Only C_Login tells that there is none (§5.1.6).
        raise Refusal(CKR.PIN_INCORRECT, f"no {role.name} PIN is set")
    # On a pad both are typed, the old one first.
    known, wanted = pin_of(app, chip, old), pin_of(app, chip, new)
    chip.change_pin(role, known, wanted)


@functools.lru_cache(maxsize=256)
def padded(text: str, length: int) -> bytes:
    """Pad with blanks to the length of a field, cutting at a whole character."""
    data = text.encode()
    while len(data) > length:
        text = text[:-1]
        data = text.encode()
    return data.ljust(length)

"""VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER (NIST SP 800-73-5 Part 2 §3.2.1 to §3.2.3).

The PIN is the chip's user PIN, the PUK its SO PIN. On their way each takes eight bytes, shorter
ones padded with FF. A PIN that was set through PKCS#11 may be what PIV would not have as a new one,
so a PIN to be compared may have four bytes, and any of them.
"""

from ukey_emulator.card.apdu import Command
from ukey_emulator.card.status import SW, CardRefusal, WrongPin
from ukey_emulator.chip import PinRefusal, Role
from ukey_emulator.profiles.quirks import Quirk

from .piv import Piv

PIN, PUK = 0x80, 0x81
ROLES = {PIN: Role.USER, PUK: Role.SO}
"""Key references of what is compared, and whose it is on the chip."""

LENGTH = 8
_PAD = b"\xff"
_LEAST, _LEAST_NEW = 4, 6
_VERIFY, _LOG_OUT = 0x00, 0xFF


def verify(piv: Piv, command: Command) -> bytes:
    """Compare the PIN; without data tell whether that is needed, with P1 FF end the login.

    63Cx for a wrong PIN, 6983 for a blocked one, 6A80 for what cannot be a PIN, of which no try is
    spent, 6A86 for another P1, 6A88 for another reference.
    """
    if command.p2 != PIN:
        raise CardRefusal(SW.REFERENCED_DATA_NOT_FOUND, f"no PIN {command.p2:02X} to verify")
    if command.p1 == _LOG_OUT:
        if command.data:
            raise CardRefusal(SW.INCORRECT_DATA, "a login ends without a PIN")
        piv.log_out()
    elif command.p1 != _VERIFY:
        raise CardRefusal(SW.INCORRECT_P1_P2, f"P1 {command.p1:02X}")
    elif command.data:
        _require_tries(piv, Role.USER)
        piv.log_in(_compared(command.data))
    elif not piv.state.verified:
        raise WrongPin(_require_tries(piv, Role.USER))
    return b""


def change_reference_data(piv: Piv, command: Command) -> bytes:
    """Replace PIN or PUK by who knows it; with the right PIN the login holds.

    63Cx, 6983, 6A80, 6A86 and 6A88 as `verify`; 6A80 also for what cannot be a new one.
    """
    if command.p1:
        raise CardRefusal(SW.INCORRECT_P1_P2, f"P1 {command.p1:02X}")
    role = ROLES.get(command.p2)
    if role is None:
        raise CardRefusal(SW.REFERENCED_DATA_NOT_FOUND, f"no PIN {command.p2:02X} to change")
    try:
        old, new = _pair(piv, role, role, command.data)
        piv.chip.change_pin(role, old, new)
    except PinRefusal:
        if role is Role.USER:
            piv.log_out()
        raise
    if role is Role.USER:
        piv.log_in(new)
    return b""


def reset_retry_counter(piv: Piv, command: Command) -> bytes:
    """Set a new PIN, with all its tries, by the PUK; a wrong one ends the login.

    63Cx for a wrong PUK, 6983 for a blocked one; otherwise as `change_reference_data`.
    """
    if command.p1:
        raise CardRefusal(SW.INCORRECT_P1_P2, f"P1 {command.p1:02X}")
    if command.p2 != PIN:
        raise CardRefusal(SW.REFERENCED_DATA_NOT_FOUND, f"no PIN {command.p2:02X} to unblock")
    try:
        puk, new = _pair(piv, Role.SO, Role.USER, command.data)
        piv.chip.unblock(puk, new)
    except PinRefusal:
        piv.log_out()
        raise
    return b""


def _require_tries(piv: Piv, role: Role) -> int:
    """Give how many tries a PIN has; 6983 if it has none, or is not set."""
    record = piv.chip.pin(role)
    if record is None or record.locked:
        raise CardRefusal(SW.AUTHENTICATION_METHOD_BLOCKED)
    return record.tries_left


def _pair(piv: Piv, owner: Role, target: Role, data: bytes) -> tuple[bytes, bytes]:
    """Give the owner's PIN, to be compared, and the target's new one.

    Who gives no PIN at all is told that it is wrong, whatever the new one is.
    """
    _require_tries(piv, owner)
    if len(data) != 2 * LENGTH:
        raise CardRefusal(SW.INCORRECT_DATA, f"{len(data)} bytes, not twice {LENGTH}")
    old = _compared(data[:LENGTH])
    if not old:
        piv.chip.verify_pin(owner, old)
    anything = target is Role.SO or Quirk.ANY_PIN in piv.chip.identity.quirks
    return old, _new(data[LENGTH:], digits=not anything)


def _compared(field: bytes) -> bytes:
    """Give the PIN in a field, to be compared.

    Nothing but padding is a PIN, though a wrong one: so programs block a PIN on purpose.
    """
    pin = field.rstrip(_PAD)
    if len(field) != LENGTH or _PAD in pin or 0 < len(pin) < _LEAST:
        raise CardRefusal(SW.INCORRECT_DATA, "that cannot be a PIN")
    return pin


def _new(field: bytes, *, digits: bool) -> bytes:
    """Give the PIN in a field, to be set: a PIN of digits, a PUK of any bytes."""
    pin = field.rstrip(_PAD)
    if len(pin) < _LEAST_NEW or _PAD in pin or (digits and not pin.isdigit()):
        raise CardRefusal(SW.INCORRECT_DATA, "that cannot be a new PIN")
    return pin

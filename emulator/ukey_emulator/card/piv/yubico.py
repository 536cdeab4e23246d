"""Yubico's commands that are not about keys: version, serial number, tries, reset.

As `yubikit` and `yubico-piv-tool` send them: there is no other description.
"""

import zlib

from ukey_emulator.card.apdu import Command
from ukey_emulator.card.status import SW, CardRefusal
from ukey_emulator.chip import Role

from .piv import Piv

VERSION = (5, 7, 4)
"""The version that programs take us for, which tells them what commands there are."""

_MOST_SERIAL = 0x7FFFFFFF  # yubico-piv-tool takes it for a number with a sign


def version(piv: Piv, command: Command) -> bytes:
    """Give the version (FD). 6A86."""
    del piv
    _require_nothing(command)
    return bytes(VERSION)


def serial_number(piv: Piv, command: Command) -> bytes:
    """Give the serial number (F8), four bytes. 6A86."""
    _require_nothing(command)
    return serial_of(piv.chip.identity.serial).to_bytes(4)


def serial_of(serial: str) -> int:
    """Give the number for a key's serial: itself where it is one, otherwise a checksum of it."""
    if serial.isascii() and serial.isdecimal() and int(serial) <= _MOST_SERIAL:
        return int(serial)
    return zlib.crc32(serial.encode()) & _MOST_SERIAL


def set_tries(piv: Piv, command: Command) -> bytes:
    """Give PIN (P1) and PUK (P2) so many tries, and both their defaults (FA).

    6982 unless both 9B and the PIN were given, 6A86 for none.
    """
    if not (piv.state.managed and piv.state.verified):
        raise CardRefusal(SW.SECURITY_STATUS_NOT_SATISFIED, "9B and the PIN come first")
    if not command.p1 or not command.p2:
        raise CardRefusal(SW.INCORRECT_P1_P2, "at least one try")
    piv.chip.set_pin_tries(command.p1, command.p2)
    piv.log_out()
    return b""


def reset(piv: Piv, command: Command) -> bytes:
    """Set all back to how the key was made (FB); 6985 unless PIN and PUK are blocked, 6A86."""
    _require_nothing(command)
    for role in Role:
        record = piv.chip.pin(role)
        if record is not None and not record.locked:
            raise CardRefusal(SW.CONDITIONS_NOT_SATISFIED, f"{role.name} is not blocked")
    piv.chip.reset_to_factory()
    return b""


def _require_nothing(command: Command) -> None:
    if command.p1p2 or command.data:
        raise CardRefusal(SW.INCORRECT_P1_P2, "no parameters")

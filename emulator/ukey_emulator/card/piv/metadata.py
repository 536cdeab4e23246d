"""GET METADATA, Yubico's F7: what everybody may know of a key, a PIN or the management key."""

from enum import IntEnum

from ukey_emulator.card import tlv
from ukey_emulator.card.apdu import Command
from ukey_emulator.card.status import SW, CardRefusal
from ukey_emulator.chip import Role
from ukey_emulator.chip.pins import DEFAULT_PINS

from . import attest, public_key
from .held import ATTESTATION, MANAGEMENT, SLOTS, TouchPolicy
from .pins import ROLES
from .piv import Piv


class Fact(IntEnum):
    """What is told, by tag (as `yubikit` reads them)."""

    ALGORITHM = 0x01
    POLICY = 0x02
    ORIGIN = 0x03
    PUBLIC_KEY = 0x04
    IS_DEFAULT = 0x05
    TRIES = 0x06


_PIN_ALGORITHM = b"\xff"
_NO_PIN = 0x00  # 9B has no PIN policy
_GENERATED, _IMPORTED = b"\x01", b"\x02"


def get_metadata(piv: Piv, command: Command) -> bytes:
    """Tell of the key or PIN P2; 6A86 for another P1 and data, 6A88 where there is none."""
    if command.p1 or command.data:
        raise CardRefusal(SW.INCORRECT_P1_P2, "no parameters but the reference")
    if command.p2 in ROLES:
        facts = _of_pin(piv, ROLES[command.p2])
    elif command.p2 == MANAGEMENT:
        facts = _of_management_key(piv)
    elif command.p2 in SLOTS:
        facts = _of_key(piv, command.p2)
    else:
        raise CardRefusal(SW.REFERENCED_DATA_NOT_FOUND, f"no {command.p2:02X}")
    return b"".join(tlv.pack(fact, value) for fact, value in facts.items())


def _of_pin(piv: Piv, role: Role) -> dict[Fact, bytes]:
    record = piv.chip.pin(role)
    if record is None:
        raise CardRefusal(SW.REFERENCED_DATA_NOT_FOUND, f"there is no {role.name} PIN")
    return {
        Fact.ALGORITHM: _PIN_ALGORITHM,
        Fact.IS_DEFAULT: bytes([record.open(DEFAULT_PINS[role]) is not None]),
        Fact.TRIES: bytes([record.tries, record.tries_left]),
    }


def _of_management_key(piv: Piv) -> dict[Fact, bytes]:
    management = piv.management
    touch = TouchPolicy.ALWAYS if management.touch else TouchPolicy.NEVER
    return {
        Fact.ALGORITHM: bytes([management.algorithm]),
        Fact.POLICY: bytes([_NO_PIN, touch]),
        Fact.IS_DEFAULT: bytes([management.is_default]),
    }


def _of_key(piv: Piv, slot: int) -> dict[Fact, bytes]:
    if slot == ATTESTATION:
        attest.prepare(piv)
    held = piv.keys.held(slot)
    if held is None:
        raise CardRefusal(SW.REFERENCED_DATA_NOT_FOUND, f"no key in {slot:02X}")
    return {
        Fact.ALGORITHM: bytes([held.algorithm]),
        Fact.POLICY: bytes([held.pin_policy, held.touch_policy]),
        Fact.ORIGIN: _GENERATED if held.generated else _IMPORTED,
        Fact.PUBLIC_KEY: public_key.encode(held.public_key),
    }

"""GENERAL AUTHENTICATE: all that keys are used for (NIST SP 800-73-5 Part 2 §3.2.4)."""

from ukey_emulator.card import tlv
from ukey_emulator.card.apdu import Command
from ukey_emulator.card.status import SW, CardRefusal
from ukey_emulator.chip.objects import Object

from . import administrator, private_key
from .administrator import TEMPLATE, Part
from .held import ATTESTATION, MANAGEMENT, SLOTS, Held, PinPolicy
from .piv import Piv


def general_authenticate(piv: Piv, command: Command) -> bytes:
    """Use a key: P1 is its algorithm, P2 the key, the data a template of what is asked and given.

    6A86 for what is no key to be used, 6A80 for a slot without a key, or with one of another
    algorithm, and for data that does not fit; 6982 where the PIN or 9B is wanted first.
    """
    if command.p2 == MANAGEMENT:
        return administrator.authenticate(piv, command)
    if command.p2 not in SLOTS or command.p2 == ATTESTATION:
        raise CardRefusal(SW.INCORRECT_P1_P2, f"no key {command.p2:02X} to be used")
    held = piv.keys.held(command.p2)
    if held is None or command.p1 != held.algorithm:
        raise CardRefusal(SW.INCORRECT_DATA, f"{command.p2:02X} has no key of {command.p1:02X}")
    match tlv.members(tlv.only(TEMPLATE, command.data)):
        case {Part.RESPONSE: b"", Part.CHALLENGE: bytes(challenge), **rest} if not rest:
            answer = private_key.respond(_authorised(piv, held), challenge)
        case {Part.RESPONSE: b"", Part.EXPONENTIATION: bytes(point), **rest} if not rest:
            answer = private_key.agree(_authorised(piv, held), point)
        case _:
            raise CardRefusal(SW.INCORRECT_DATA, "neither a challenge nor a point to respond to")
    return tlv.pack(TEMPLATE, tlv.pack(Part.RESPONSE, answer))


def _authorised(piv: Piv, held: Held) -> Object:
    """Give the private key, if its PIN policy lets it be used now (SP 800-73-5 Part 1 table 5).

    A touch is never waited for: whoever sends a command is taken to have touched the key.
    """
    state = piv.state
    match held.pin_policy:
        case PinPolicy.NEVER:
            allowed = True
        case PinPolicy.ONCE:
            allowed = state.verified
        case PinPolicy.ALWAYS:
            allowed = state.verified and state.just_verified
            state.just_verified = False
    if not allowed:
        raise CardRefusal(SW.SECURITY_STATUS_NOT_SATISFIED, f"PIN policy {held.pin_policy.name}")
    return piv.keys.private(held.slot)

"""GENERATE ASYMMETRIC KEY PAIR (NIST SP 800-73-5 Part 2 §3.3.2)."""

from ukey_emulator.card import tlv
from ukey_emulator.card.apdu import Command
from ukey_emulator.card.status import SW, CardRefusal

from . import policies, public_key
from .administrator import require
from .held import ATTESTATION, SLOTS, Algorithm
from .piv import Piv

_CONTROL_TEMPLATE, _ALGORITHM, _PARAMETER = 0xAC, 0x80, 0x81
_PUBLIC_KEY = 0x7F49
_EXPONENT = b"\x01\x00\x01"


def generate(piv: Piv, command: Command) -> bytes:
    """Make a key pair in the slot P2 and give its public key; what was in the slot is gone.

    6982 without 9B, 6A86 for what is no slot, 6A80 for an algorithm that the card has not and
    parameters and policies that there are none.
    """
    require(piv.state)
    if command.p1 or command.p2 not in SLOTS:
        raise CardRefusal(SW.INCORRECT_P1_P2, f"no key pair {command.p2:02X}")
    wanted = tlv.members(tlv.only(_CONTROL_TEMPLATE, command.data))
    algorithm = _algorithm(wanted)
    if command.p2 == ATTESTATION and algorithm is Algorithm.X25519:
        raise CardRefusal(SW.INCORRECT_DATA, "the key that attests has to sign")
    pin, touch = policies.take(command.p2, wanted)
    if wanted:
        raise CardRefusal(SW.INCORRECT_DATA, f"{', '.join(f'{tag:02X}' for tag in wanted)}?")
    held = piv.keys.put(command.p2, algorithm, algorithm.make(), pin, touch, generated=True)
    return tlv.pack(_PUBLIC_KEY, public_key.encode(held.public_key))


def _algorithm(wanted: dict[int, bytes]) -> Algorithm:
    named = wanted.pop(_ALGORITHM, b"")
    try:
        algorithm = Algorithm(int.from_bytes(named))
    except ValueError as error:
        raise CardRefusal(SW.INCORRECT_DATA, str(error)) from None
    # RSA keys may be told their exponent, and have but the one.
    parameter = wanted.pop(_PARAMETER, None)
    if parameter not in (None, _EXPONENT if algorithm.name.startswith("RSA") else None):
        raise CardRefusal(SW.INCORRECT_DATA, "no such parameter")
    return algorithm

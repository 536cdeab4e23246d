"""MOVE KEY, Yubico's F6: a key goes to another slot, or goes."""

from ukey_emulator.card.apdu import Command
from ukey_emulator.card.status import SW, CardRefusal

from . import attest
from .administrator import require
from .held import ATTESTATION, SLOTS
from .piv import Piv

_NOWHERE = 0xFF


def move_key(piv: Piv, command: Command) -> bytes:
    """Move the key in P2 to the empty slot P1, or delete it where P1 is FF.

    6982 without 9B, 6A86 for what is no slot or the key that attests, which only can be deleted,
    6A88 where there is no key, 6985 where there is one already, or one that may not be destroyed.
    """
    require(piv.state)
    target, source = command.p1, command.p2
    deleting = target == _NOWHERE
    if source not in SLOTS or not (deleting or target in SLOTS):
        raise CardRefusal(SW.INCORRECT_P1_P2, f"not from {source:02X} to {target:02X}")
    if not deleting and ATTESTATION in (source, target):
        raise CardRefusal(SW.INCORRECT_P1_P2, "F9 stays where it is")
    if source == ATTESTATION:
        attest.prepare(piv)
    if deleting:
        piv.keys.delete(source)
    else:
        piv.keys.move(source, target)
    return b""

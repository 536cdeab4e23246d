"""What the cases of a card need of it; each says in one sentence why the card lacks that."""

from ukey_harness.cases.card.piv import AID
from ukey_harness.cases.card.stand import CardStand
from ukey_harness.cases.case import Need
from ukey_harness.cases.subject import nobody_can
from ukey_harness.pcsc.apdu import command
from ukey_harness.pcsc.tlv import objects, value

SUITES = {b"\x27", b"\x2e"}  # cipher suites of secure messaging
ALGORITHM = 0x80
MANUFACTURER_INSTRUCTIONS = {
    0xFD: "GET VERSION",
    0xFB: "RESET",
    0xFA: "SET PIN RETRIES",
    0xF9: "ATTEST",
}


def acts(*verbs: str) -> Need:
    """Need an operator of the device who can do that during a case."""

    def missing(stand: CardStand) -> str:
        return next((nobody_can(verb) for verb in verbs if verb not in stand.subject.acts), "")

    return missing


def no_secure_messaging(stand: CardStand) -> str:
    """Need a card without secure messaging: its application property template names no suite."""
    template = stand.must(0xA4, 0x04, 0x00, AID)
    named = value(template, 0x61, 0xAC)
    try:
        suites = {content for tag, content in objects(named or b"") if tag == ALGORITHM}
    except ValueError:
        return ""
    if suites & SUITES:
        return "The card has secure messaging: its application property template names a suite."
    return ""


def extension(ins: int) -> Need:
    """Need an instruction that is no part of PIV; GET VERSION tells whether the card has them."""

    def missing(stand: CardStand) -> str:
        if stand.send(command(0xFD, 0x00, 0x00, le=256)).word == "6D00":
            name = MANUFACTURER_INSTRUCTIONS[ins]
            return f"The card answers 6D00 to GET VERSION: it has no extensions, and no {name}."
        return ""

    return missing

"""PIN and PUK (SP 800-73-5 Part 2 §2.4.3, §3.2.1 to §3.2.3): PV."""

import time

from ukey_harness.cases.card.piv import (
    AID,
    CHANGE,
    MOST_TRIES,
    PIN,
    PUK,
    VERIFY,
    another,
    block_pin,
    change,
    logged_in,
    owners_pin,
    owners_puk,
    padded,
    status,
    tries,
    unblock,
    verify,
    wrong,
)
from ukey_harness.cases.card.reader import in_thread
from ukey_harness.cases.card.stand import CardStand
from ukey_harness.cases.case import Changes, Section
from ukey_harness.pcsc.apdu import command
from ukey_harness.pcsc.context import LEAVE, UNPOWER

pins = Section("SP 800-73-5", "PIN and PUK", sign="")

NEW_PIN = "24681357"
SHORT_PIN = "1234"
LETTERS = "abcdef"
MIDDLE_FF = b"\x31\x32\x33\x34\x35\x36\xff\x37"
# Applications that a card may have beside PIV: a management application, a card manager.
OTHERS = ("A000000527471117", "A000000151000000", "A0000001510000")
AFTER_LAST = 1.5  # seconds in which a card that nobody uses has lost its power


def less(before: int, after: int) -> str:
    """Say how a counter has moved."""
    if before == after:
        return "same"
    return "one less" if before - after == 1 else f"{before} then {after}"


def right_again(stand: CardStand) -> str:
    """VERIFY the right PIN: the counter is full again."""
    return verify(stand).kind


@pins.case(
    "PV-09",
    "Part 2 §3.2.1",
    "VERIFY without data tells the tries that are left, and takes none.",
    "63CX, 63CX, same",
)
def _pv_09(stand: CardStand) -> tuple[str, ...]:
    stand.renew()
    first, second = status(stand), status(stand)
    same = "same" if first == second and (first.tries or 0) > 0 else f"{first.word} {second.word}"
    return first.kind, second.kind, same


@pins.case(
    "PV-10",
    "Part 2 §3.2.1",
    "VERIFY with the right PIN succeeds, and is remembered.",
    "63CX, 9000, 9000",
)
def _pv_10(stand: CardStand) -> tuple[str, ...]:
    stand.renew()
    return status(stand).kind, verify(stand).kind, status(stand).kind


@pins.case(
    "PV-11",
    "Part 2 §3.2.1",
    "A wrong PIN costs one try, is told with those that are left, and undoes a PIN given before.",
    "63CX, one less, 63CX",
    changes=Changes.PIN,
)
def _pv_11(stand: CardStand) -> tuple[str, ...]:
    before = tries(stand)
    logged_in(stand)
    told = verify(stand, another(owners_pin(stand)))
    after = status(stand)
    right_again(stand)
    return told.kind, less(before, told.tries if told.tries is not None else -1), after.kind


@pins.case(
    "PV-12",
    "Part 2 §3.2.1",
    "The right PIN makes the counter full again.",
    "63CX, 9000, same",
    changes=Changes.PIN,
)
def _pv_12(stand: CardStand) -> tuple[str, ...]:
    logged_in(stand)
    stand.renew()
    full = tries(stand)
    first, second = wrong(stand), verify(stand)
    stand.renew()
    return first.kind, second.word, less(full, tries(stand))


@pins.case(
    "PV-13",
    "Part 2 §3.2.1",
    "When no try is left the PIN is blocked, the right one, too.",
    "63CX | 6983, 6983, 6983",
    changes=Changes.TOKEN,
    locks=True,
)
def _pv_13(stand: CardStand) -> tuple[str, ...]:
    return block_pin(stand)[-1].kind, wrong(stand).word, verify(stand).word


@pins.case(
    "PV-14",
    "Part 2 §2.4.3",
    "What is no well-formed PIN is refused as such and costs no try, or as a wrong one and costs "
    "one.",
    "6A80, 6A80, 6A80, 6A80 | 6700, none spent",
    allow=("6A80 | 63CX, 6A80 | 63CX, 6A80 | 63CX, 6A80 | 63CX | 6700, as told",),
    changes=Changes.PIN,
)
def _pv_14(stand: CardStand) -> tuple[str, ...]:
    owners_pin(stand)
    stand.renew()
    words, spent, told = [], 0, 0
    for each in (SHORT_PIN, MIDDLE_FF, LETTERS, b"123456789"):
        before = tries(stand)
        answer = verify(stand, each)
        words.append(answer.kind)
        told += answer.kind == "63CX"
        spent += before - tries(stand)
        if answer.kind == "63CX":
            right_again(stand)
            stand.renew()
    counted = "none spent" if not spent and not told else "as told"
    return *words, counted if spent == told else f"{spent} spent, {told} told"


@pins.case(
    "PV-15",
    "Part 2 §3.2.1",
    "A reference that VERIFY does not know is not found.",
    "6A88, 6A88, 6A88",
    allow=("63CX, 6A88, 6A88",),  # cards may verify others for their management
)
def _pv_15(stand: CardStand) -> tuple[str, ...]:
    return tuple(status(stand, reference).kind for reference in (PUK, 0x82, 0x7F))


@pins.case(
    "PV-16",
    "Part 2 §3.2.1",
    "VERIFY with P1 FF takes back the PIN that was given, and no try.",
    "9000, 9000, 63CX, same",
)
def _pv_16(stand: CardStand) -> tuple[str, ...]:
    stand.renew()
    full = tries(stand)
    given = verify(stand).word
    back = stand.send(command(VERIFY, 0xFF, PIN)).word
    after = status(stand)
    return given, back, after.kind, less(full, after.tries or 0)


@pins.case(
    "PV-17",
    "Part 2 §3.1.1",
    "SELECT of PIV where it is selected leaves the PIN given; SELECT of another application takes "
    "it back.",
    "9000, 63CX",
    allow=("9000, no other application",),
)
def _pv_17(stand: CardStand) -> tuple[str, ...]:
    logged_in(stand)
    stand.must(0xA4, 0x04, 0x00, AID)
    kept = status(stand).kind
    for aid in OTHERS:
        if stand.ask(0xA4, 0x04, 0x00, bytes.fromhex(aid)).ok:
            stand.select()
            return kept, status(stand).kind
    return kept, "no other application"


@pins.case(
    "PV-18",
    "Part 2 §2.4.2",
    "A reset takes back the PIN that was given, and so does a cut of the power.",
    "9000, 63CX, 9000, 63CX",
)
def _pv_18(stand: CardStand) -> tuple[str, ...]:
    seen = []
    for disturb in (stand.renew, stand.cut_power):
        seen.append(verify(stand).word)
        disturb()
        seen.append(status(stand).kind)
    return tuple(seen)


@pins.case(
    "PV-19",
    "Part 2 §3.2.2",
    "A PIN is changed by who knows the old one: the new one is right from then on, the old wrong.",
    "9000, 63CX, 9000",
    changes=Changes.TOKEN,
)
def _pv_19(stand: CardStand) -> tuple[str, ...]:
    old = owners_pin(stand)
    changed = change(stand, PIN, old, NEW_PIN)
    try:
        return changed.word, verify(stand, old).kind, verify(stand, NEW_PIN).word
    finally:
        if changed.ok:
            change(stand, PIN, NEW_PIN, old)


@pins.case(
    "PV-20",
    "Part 2 §3.2.2",
    "Who does not know the old PIN cannot change it, and loses a try.",
    "63CX, one less, 9000",
    changes=Changes.PIN,
)
def _pv_20(stand: CardStand) -> tuple[str, ...]:
    right = owners_pin(stand)
    stand.renew()
    before = tries(stand)
    refused = change(stand, PIN, another(right), NEW_PIN)
    left = tries(stand)
    return refused.kind, less(before, left), verify(stand, right).kind


@pins.case(
    "PV-21",
    "Part 2 §3.2.2",
    "A new PIN that is not well formed is refused; the old one stays and no try is spent.",
    "6A80, 6A80, same, 9000",
    changes=Changes.PIN,
)
def _pv_21(stand: CardStand) -> tuple[str, ...]:
    right = owners_pin(stand)
    stand.renew()
    before = tries(stand)
    words = [change(stand, PIN, right, each).kind for each in (SHORT_PIN, LETTERS)]
    stand.renew()
    return *words, less(before, tries(stand)), verify(stand, right).kind


@pins.case(
    "PV-22",
    "Part 2 §3.2.2",
    "A PUK is changed by who knows the old one, and unblocks from then on.",
    "9000, 63CX, 9000",
    allow=("6A81 | 6A88, *, *",),  # to change the PUK is an option
    changes=Changes.TOKEN,
)
def _pv_22(stand: CardStand) -> tuple[str, ...]:
    old, pin = owners_puk(stand), owners_pin(stand)
    changed = change(stand, PUK, old, NEW_PIN)
    try:
        return changed.word, unblock(stand, old, pin).kind, unblock(stand, NEW_PIN, pin).word
    finally:
        if changed.ok:
            change(stand, PUK, NEW_PIN, old)


@pins.case(
    "PV-23",
    "Part 2 §3.2.3",
    "The PUK sets a blocked PIN anew with all its tries, and gives it not.",
    "6983, 9000, same, 63CX, 9000",
    changes=Changes.TOKEN,
    locks=True,
)
def _pv_23(stand: CardStand) -> tuple[str, ...]:
    full = tries(stand)
    block_pin(stand)
    blocked = verify(stand).word
    opened = unblock(stand, owners_puk(stand), NEW_PIN).word
    after = status(stand)
    return blocked, opened, less(full, after.tries or 0), after.kind, verify(stand, NEW_PIN).word


@pins.case(
    "PV-24",
    "Part 2 §3.2.3",
    "When the PUK has no try left it is blocked, the right one, too, and the PIN stays so.",
    "63CX, 6983, 6983, 6983",
    changes=Changes.TOKEN,
    locks=True,
)
def _pv_24(stand: CardStand) -> tuple[str, ...]:
    puk = owners_puk(stand)
    block_pin(stand)
    answers = [unblock(stand, another(puk), NEW_PIN)]
    while answers[-1].tries and len(answers) <= MOST_TRIES:
        answers.append(unblock(stand, another(puk), NEW_PIN))
    last = unblock(stand, another(puk), NEW_PIN)
    return answers[0].kind, last.word, unblock(stand, puk, NEW_PIN).word, verify(stand).word


@pins.case(
    "PV-42",
    "Part 2 §3.2.1",
    "A cut of the power keeps the try that a wrong PIN has cost; a change of the PIN that it "
    "interrupts is done or not done.",
    "63CX, one less, 9000",
    changes=Changes.TOKEN,
)
def _pv_42(stand: CardStand) -> tuple[str, ...]:
    right = owners_pin(stand)
    stand.renew()
    before = tries(stand)
    told = wrong(stand).kind
    stand.cut_power()
    left = less(before, tries(stand))
    return told, left, _interrupted_change(stand, right)


def _interrupted_change(stand: CardStand, right: str) -> str:
    """Change the PIN while the card is taken out, or has its power cut: one of both must hold."""
    interrupts = "take_out" in stand.subject.acts and "plug_in" in stand.subject.acts
    if interrupts:
        card = stand.card
        thread = in_thread(lambda: _change_for_ever(stand, right))
        stand.act("take_out")
        thread.join()
        stand.act("plug_in")
        card.reconnect(UNPOWER)
        stand.select()
    else:
        stand.note("Nobody can take the card out while it works: its power is cut afterwards.")
        change(stand, PIN, right, NEW_PIN)
        stand.cut_power()
    if verify(stand, NEW_PIN).ok:
        return change(stand, PIN, NEW_PIN, right).word
    return verify(stand, right).word


def _change_for_ever(stand: CardStand, right: str) -> None:
    """Change the PIN to a new one and back until the card does not answer any more."""
    old, new = right, NEW_PIN
    request = command(CHANGE, 0x00, PIN, padded(old) + padded(new))
    while stand.card.transmit(request).ok:
        old, new = new, old
        request = command(CHANGE, 0x00, PIN, padded(old) + padded(new))


@pins.case(
    "PV-45",
    "Part 2 §2.4.2",
    "A PIN that was given is not given any more when the last program has left the card.",
    "9000, 63CX",
)
def _pv_45(stand: CardStand) -> tuple[str, ...]:
    given = verify(stand).word
    stand.card.disconnect(LEAVE)
    time.sleep(AFTER_LAST)
    again = stand.connect()
    stand.select(again)
    return given, status(stand, card=again).kind


@pins.case(
    "PV-47",
    "Part 2 §3.2.1",
    "The counter survives a cut of the power.",
    "63CX, one less, same",
    changes=Changes.PIN,
)
def _pv_47(stand: CardStand) -> tuple[str, ...]:
    stand.renew()
    before = tries(stand)
    told = wrong(stand).kind
    left = tries(stand)
    stand.cut_power()
    after = tries(stand)
    right_again(stand)
    return told, less(before, left), less(left, after)

"""The management key and what it allows (SP 800-73-5 Part 2 §3.2.4, §3.3.1): PV."""

import os

from ukey_harness.cases.card.piv import (
    AUTHENTICATE,
    MANAGEMENT,
    PUT_DATA,
    SECURITY,
    block_length,
    content,
    get_data,
    manage,
    management_algorithm,
    may_write,
    placed,
    proves,
    put_data,
    put_request,
    respond,
    witness,
)
from ukey_harness.cases.card.reader import in_thread
from ukey_harness.cases.card.stand import CardStand
from ukey_harness.cases.card.transport import LONG, security_object
from ukey_harness.cases.case import Changes, Section
from ukey_harness.pcsc import Answer
from ukey_harness.pcsc.apdu import chain
from ukey_harness.pcsc.context import SUCCESS, UNPOWER
from ukey_harness.pcsc.tlv import tlv

administration = Section("SP 800-73-5", "Administration", sign="")

TOO_BIG = 60_000  # bytes, more than any card's object holds
REFUSED = "6982 | 6300 | 6A80 | 6985"


def put(stand: CardStand) -> str:
    """PUT DATA of a small object; its answer in a word."""
    return put_data(stand, SECURITY, security_object(16)).word


@administration.case(
    "PV-25",
    "Part 2 §3.2.4",
    "Mutual authentication with the management key proves both sides, and allows PUT DATA.",
    "9000, proven, 9000",
    changes=Changes.OBJECTS,
)
def _pv_25(stand: CardStand) -> tuple[str, ...]:
    algorithm = management_algorithm(stand)
    challenge = os.urandom(block_length(algorithm))
    answer = respond(stand, algorithm, witness(stand, algorithm), challenge)
    proven = "proven" if proves(stand, algorithm, answer, challenge) else "not proven"
    return answer.word, proven, put(stand)


@administration.case(
    "PV-26",
    "Part 2 §2.4.2",
    "A witness that is wrongly decrypted is refused, with no proof in return, and undoes what an "
    "earlier one allowed.",
    "6982, no data, 6982",
    allow=(f"{REFUSED}, no data, 6982",),
    changes=Changes.OBJECTS,
)
def _pv_26(stand: CardStand) -> tuple[str, ...]:
    may_write(stand)
    manage(stand)
    algorithm = management_algorithm(stand)
    right = witness(stand, algorithm)
    false = bytes([right[0] ^ 1]) + right[1:]
    answer = respond(stand, algorithm, false, os.urandom(block_length(algorithm)))
    return answer.word, "data" if answer.data else "no data", put(stand)


@administration.case(
    "PV-27",
    "Part 2 §3.2.4",
    "A response that answers no challenge is refused, and so is one that was used before.",
    "refused, refused, refused, 6982",
    changes=Changes.OBJECTS,
)
def _pv_27(stand: CardStand) -> tuple[str, ...]:
    may_write(stand)
    algorithm = management_algorithm(stand)
    size = block_length(algorithm)
    unasked = respond(stand, algorithm, bytes(size), bytes(size))
    response = tlv(0x7C, tlv(0x82, bytes(size)))
    empty = stand.ask(AUTHENTICATE, algorithm, MANAGEMENT, response)
    used = witness(stand, algorithm)
    respond(stand, algorithm, used, bytes(size))
    stand.renew()
    again = respond(stand, algorithm, used, bytes(size))
    answers = (unasked, empty, again)
    return *("taken" if each.ok else "refused" for each in answers), put(stand)


@administration.case(
    "PV-35",
    "Part 2 §3.3.1",
    "PUT DATA is refused where the management key was not given, and the object stays.",
    "6982, same",
    changes=Changes.OBJECTS,
)
def _pv_35(stand: CardStand) -> tuple[str, str]:
    old = placed(stand, SECURITY, security_object(24))
    stand.renew()
    refused = put(stand)
    return refused, "same" if content(stand, SECURITY) == old else "another"


@administration.case(
    "PV-36",
    "Part 2 §3.3.1",
    "What PUT DATA has put is got again; an object that is put empty is gone or empty.",
    "9000, same, 9000, same, 9000, gone",
    changes=Changes.OBJECTS,
)
def _pv_36(stand: CardStand) -> tuple[str, ...]:
    seen: list[str] = []
    new = placed(stand, SECURITY, security_object(16))
    for each in (new, security_object(LONG, filling=1)):
        seen.append(put_data(stand, SECURITY, each).word)
        seen.append("same" if content(stand, SECURITY) == each else "another")
    seen.append(put_data(stand, SECURITY, b"").word)
    answer = get_data(stand, SECURITY)
    gone = answer.word == "6A82" or answer.response == bytes.fromhex("53009000")
    return *seen, "gone" if gone else answer.word


@administration.case(
    "PV-37",
    "Part 2 §3.3.1",
    "An object that is too big is refused, and the old one stays.",
    "6A84, same",
    allow=("6700 | 6A80 | 6883 | 6F00, same",),
    changes=Changes.OBJECTS,
)
def _pv_37(stand: CardStand) -> tuple[str, str]:
    old = placed(stand, SECURITY, security_object(24))
    refused = put_data(stand, SECURITY, bytes(TOO_BIG)).word
    return refused, "same" if content(stand, SECURITY) == old else "another"


def _which(stand: CardStand, old: bytes, new: bytes) -> str:
    found = content(stand, SECURITY)
    return {old: "old", new: "new"}.get(found or b"", "mixed")


@administration.case(
    "PV-41",
    "Part 2 §3.3.1",
    "A cut of the power in a chain of PUT DATA leaves the old object; one after its end, or in its "
    "last block, the old or the new, never a mixture.",
    "old, old, new, whole",
    changes=Changes.OBJECTS,
    limit=30.0,
)
def _pv_41(stand: CardStand) -> tuple[str, ...]:
    old, new = security_object(16), security_object(LONG, filling=1)
    blocks = chain(PUT_DATA, 0x3F, 0xFF, put_request(SECURITY, new))
    plugged = "take_out" in stand.subject.acts and "plug_in" in stand.subject.acts
    seen = []
    for sent in range(1, len(blocks) + 1):
        kinds = set()
        for way in ("power", "plug") if plugged else ("power",):
            placed(stand, SECURITY, old)
            for each in blocks[:sent]:
                stand.send(each)
            _cut(stand, way)
            kinds.add(_which(stand, old, new))
        seen.append(" or ".join(sorted(kinds)))
    if not plugged:
        stand.note("Nobody can take the card out while it works: only its power was cut.")
        return *seen, "whole"
    placed(stand, SECURITY, old)
    return *seen, _raced(stand, old, new)


def _cut(stand: CardStand, way: str) -> None:
    """Take the power from the card: by the reader, or by taking it out and putting it back."""
    if way == "power":
        stand.cut_power()
        return
    stand.act("take_out")
    _put_back(stand)


def _put_back(stand: CardStand) -> None:
    stand.act("plug_in")
    stand.card.reconnect(UNPOWER)
    stand.select()


def _raced(stand: CardStand, old: bytes, new: bytes) -> str:
    """Take the card out while objects are put; "whole" when one of both is there afterwards."""
    answers: list[Answer] = []

    def work() -> None:
        turn = 0
        while not answers or answers[-1].name == SUCCESS:
            request = put_request(SECURITY, (new, old)[turn % 2])
            answers.append(stand.ask(PUT_DATA, 0x3F, 0xFF, request, le=None))
            turn += 1

    thread = in_thread(work)
    stand.act("take_out")
    thread.join()
    _put_back(stand)
    return "whole" if _which(stand, old, new) in {"old", "new"} else "mixed"

"""APDUs on their way (ISO/IEC 7816-4:2020 §5): AP."""

import random

from ukey_harness.cases.card.keys import AUTH, CARD, block, judged, ready, sign_request, signs
from ukey_harness.cases.card.needs import no_secure_messaging
from ukey_harness.cases.card.piv import (
    AID,
    AUTHENTICATE,
    CCC,
    CHUID,
    DISCOVERY,
    GET_DATA,
    PUT_DATA,
    SECURITY,
    content,
    get_data,
    logged_in,
    manage,
    may_write,
    placed,
    put_request,
    status,
    tag_list,
)
from ukey_harness.cases.card.stand import GET_RESPONSE, PIV_SHORT, CardStand
from ukey_harness.cases.case import Changes, NotApplicable, Section
from ukey_harness.pcsc import Answer
from ukey_harness.pcsc.apdu import chain, command, extended
from ukey_harness.pcsc.context import RESET, SUCCESS
from ukey_harness.pcsc.tlv import tlv, value

transport = Section("ISO/IEC 7816-4:2020", "APDUs")

GET_DISCOVERY = command(GET_DATA, 0x3F, 0xFF, tag_list(DISCOVERY), le=256)
SELECT_PIV = "00 A4 04 00 05 A0 00 00 03 08 00"
# What the transport says of an APDU that it cannot carry itself.
LOST = "6700 | E_INVALID_PARAMETER | E_INVALID_VALUE | E_NOT_TRANSACTED | F_COMM_ERROR"
LONG = 600  # bytes of an object that needs three blocks and three answers
NOTHING_PENDING = "6985 | 6D00 | 6F00 | 6700 | 6A86 | 6A88"
MOST_BLOCKS = 300
RANDOM = 10_000
SEED = 7816


def security_object(length: int, filling: int = 0) -> bytes:
    """Return content of a security object (SP 800-73-5 Part 1, table 12) of about that length."""
    filler = bytes((each + filling) & 0xFF for each in range(length))
    return tlv(0xBA, b"\x01\x30\x00") + tlv(0xBB, filler) + tlv(0xFE, b"")


def words(stand: CardStand, *apdus: str) -> tuple[str, ...]:
    """Send APDUs one after the other; return their answers in a word each."""
    return tuple(stand.send(each).kind for each in apdus)


def same(answer: Answer, wanted: bytes) -> str:
    """Return "same" when the answer's data are those."""
    return "same" if answer.data == wanted else f"{len(answer.data)} other bytes"


def long_object(stand: CardStand) -> bytes:
    """Return GET DATA's whole answer of an object that is too long for one short answer."""
    if stand.subject.erasable:
        return tlv(0x53, placed(stand, SECURITY, security_object(LONG)))
    whole = get_data(stand, SECURITY).data
    if len(whole) <= 256:  # noqa: PLR2004 - what a short answer holds
        raise NotApplicable("The security object is no longer than one answer, or not there.")
    return whole


@transport.case(
    "AP-01",
    "5.4.1",
    "A class that the card does not know is refused as such.",
    "6E00, 6E00",
    allow=("6E00 | 6D00, 6E00 | 6D00",),
)
def _ap_01(stand: CardStand) -> tuple[str, ...]:
    return words(stand, f"80 {SELECT_PIV[3:]}", f"FF {SELECT_PIV[3:]}")


@transport.case(
    "AP-02",
    "5.4.1",
    "A card without secure messaging refuses the classes that announce it.",
    "6882, 6882",
    allow=("6E00 | 6882, 6E00 | 6882",),
    needs=(no_secure_messaging,),
)
def _ap_02(stand: CardStand) -> tuple[str, ...]:
    return words(stand, f"04 {SELECT_PIV[3:]}", "0C CB 3F FF 03 5C 01 7E 00")


@transport.case(
    "AP-03",
    "5.4.1",
    "A logical channel that is not open is refused.",
    "6881, 6881, 6881",
    allow=("6E00 | 6881, 6E00 | 6881, 6E00 | 6881",),
)
def _ap_03(stand: CardStand) -> tuple[str, ...]:
    return words(stand, *(f"{channel:02X} CB 3F FF 03 5C 01 7E 00" for channel in (1, 2, 3)))


@transport.case(
    "AP-04",
    "5.5",
    "An instruction that the card does not know is refused as such.",
    "6D00, 6D00, 6D00",
)
def _ap_04(stand: CardStand) -> tuple[str, ...]:
    return words(stand, "00 02 00 00", "00 0F 00 00 01 00", "00 5B 00 00 00")


@transport.case(
    "AP-05",
    "5.6",
    "GET DATA with parameters that it does not have says that they are wrong.",
    "6A86",
    allow=("6A81 | 6B00",),
)
def _ap_05(stand: CardStand) -> tuple[str, ...]:
    return words(stand, "00 CB 00 00 03 5C 01 7E 00")


@transport.case(
    "AP-06",
    "5.2",
    "A command that is shorter than its length field says, and one without a whole header, are "
    "refused; the next is answered.",
    "6700, 6700, 9000",
    allow=(f"{LOST}, {LOST}, 9000",),
)
def _ap_06(stand: CardStand) -> tuple[str, ...]:
    return words(stand, "00 CB 3F FF 05 5C 03 5F", "00 A4 04", SELECT_PIV)


@transport.case(
    "AP-07",
    "5.2",
    "A command that goes on behind its Le field is refused.",
    "6700, 9000",
    allow=(f"{LOST}, 9000",),
)
def _ap_07(stand: CardStand) -> tuple[str, ...]:
    return words(stand, "00 CB 3F FF 03 5C 01 7E 00 00", SELECT_PIV)


@transport.case(
    "AP-08",
    "5.2",
    "Le 00 asks for all that fits into 256 bytes.",
    "9000, whole, 256 at most",
    allow=("61XX, whole, 256 at most",),
)
def _ap_08(stand: CardStand) -> tuple[str, ...]:
    first = stand.send(SELECT_PIV)
    most = "256 at most" if len(first.data) <= 256 else f"{len(first.data)}"  # noqa: PLR2004
    return first.kind, _template(stand.rest(first)), most


def _template(answer: Answer) -> str:
    """Return "whole" for an application property template that is all there."""
    whole = value(answer.data, 0x61, 0x4F) and value(answer.data, 0x61, 0x79)
    return "whole" if whole else answer.data.hex() or "no data"


@transport.case(
    "AP-09",
    "5.3.4",
    "An answer longer than 256 bytes comes in parts, each announced with 61xx, and they are all of "
    "it.",
    "61XX, 256, 9000, same",
    allow=("61XX, *, 9000, same",),
    changes=Changes.OBJECTS,
)
def _ap_09(stand: CardStand) -> tuple[str | int, ...]:
    wanted = long_object(stand)
    first = stand.send(command(GET_DATA, 0x3F, 0xFF, tag_list(SECURITY), le=256))
    whole = stand.rest(first)
    return first.kind, len(first.data), whole.word, same(whole, wanted)


@transport.case(
    "AP-10",
    "5.3.4",
    "GET RESPONSE gives nothing where nothing is pending.",
    "6985, no data",
    allow=(f"{NOTHING_PENDING}, no data",),
)
def _ap_10(stand: CardStand) -> tuple[str, str]:
    stand.select()
    answer = stand.send(command(GET_RESPONSE, 0, 0, le=256))
    return answer.kind, "data" if answer.data else "no data"


@transport.case(
    "AP-11",
    "5.3.4",
    "Another command between drops what of an answer was still to be fetched.",
    "61XX, 6985, no data",
    allow=(f"61XX, {NOTHING_PENDING}, no data",),
    changes=Changes.OBJECTS,
)
def _ap_11(stand: CardStand) -> tuple[str, ...]:
    long_object(stand)
    first = stand.send(command(GET_DATA, 0x3F, 0xFF, tag_list(SECURITY), le=256))
    status(stand)
    answer = stand.send(command(GET_RESPONSE, 0, 0, le=256))
    return first.kind, answer.kind, "data" if answer.data else "no data"


@transport.case(
    "AP-12",
    "5.3.4",
    "An Le that is smaller than the answer gives that much of it, and the rest is announced.",
    "61XX, 8, same",
    allow=("6CXX, 0, same",),
)
def _ap_12(stand: CardStand) -> tuple[str | int, ...]:
    wanted = stand.must(GET_DATA, 0x3F, 0xFF, tag_list(DISCOVERY))
    first = stand.send(command(GET_DATA, 0x3F, 0xFF, tag_list(DISCOVERY), le=8))
    if first.kind == "6CXX":
        whole = stand.ask(GET_DATA, 0x3F, 0xFF, tag_list(DISCOVERY), le=8)
    else:
        whole = stand.rest(first)
    return first.kind, len(first.data), same(whole, wanted)


@transport.case(
    "AP-13",
    "5.2",
    "Extended lengths mean what short ones mean, or are refused every time.",
    "9000, same, 9000, same",
    allow=("6700, none, 6700, none",),
    changes=Changes.OBJECTS,
)
def _ap_13(stand: CardStand) -> tuple[str, ...]:
    wanted = long_object(stand)
    may_write(stand)
    first = stand.send(extended(GET_DATA, 0x3F, 0xFF, tag_list(SECURITY), le=65536))
    new = security_object(LONG, filling=1)
    put = stand.send(extended(PUT_DATA, 0x3F, 0xFF, put_request(SECURITY, new)))
    taken = "same" if content(stand, SECURITY) == new else "another"
    return (
        first.word,
        same(first, wanted) if first.ok else "none",
        put.word,
        taken if put.ok else "none",
    )


@transport.case(
    "AP-14",
    "5.3.3",
    "The blocks of a chain are taken one by one, and the last has the answer of all.",
    "9000, 9000, 9000, same, 9000, verifies",
    changes=Changes.OBJECTS,
)
def _ap_14(stand: CardStand) -> tuple[str, ...]:
    key = ready(stand, AUTH)
    manage(stand)
    may_write(stand)
    new = security_object(LONG)
    blocks = chain(PUT_DATA, 0x3F, 0xFF, put_request(SECURITY, new))
    answers = [stand.send(each).word for each in blocks]
    taken = "same" if content(stand, SECURITY) == new else "another"
    logged_in(stand)
    request = sign_request(block(key[0]))
    first, last = chain(AUTHENTICATE, key[0], AUTH, request, le=256, size=len(request) // 2 + 1)
    begun = stand.send(first).word
    return *answers, taken, begun, judged(stand.rest(stand.send(last)), key[1])


@transport.case(
    "AP-15",
    "5.3.3",
    "Another instruction in a chain ends it: it is answered, and nothing of the chain is done.",
    "9000, 9000, refused, same",
    changes=Changes.OBJECTS,
)
def _ap_15(stand: CardStand) -> tuple[str, ...]:
    old = placed(stand, SECURITY, security_object(16))
    blocks = chain(PUT_DATA, 0x3F, 0xFF, put_request(SECURITY, security_object(LONG, filling=1)))
    first = stand.send(blocks[0]).word
    between = stand.send(GET_DISCOVERY).word
    for each in blocks[1:]:
        last = stand.send(each)
    kept = "same" if content(stand, SECURITY) == old else "another"
    return first, between, "taken" if last.ok else "refused", kept


@transport.case(
    "AP-16",
    "5.3.3",
    "A chain whose last block never comes has no effect.",
    "9000, 9000, same",
    changes=Changes.OBJECTS,
)
def _ap_16(stand: CardStand) -> tuple[str, ...]:
    old = placed(stand, SECURITY, security_object(16))
    blocks = chain(PUT_DATA, 0x3F, 0xFF, put_request(SECURITY, security_object(LONG, filling=1)))
    answers = [stand.send(each).word for each in blocks[:-1]]
    stand.renew()
    return *answers, "same" if content(stand, SECURITY) == old else "another"


@transport.case(
    "AP-17",
    "5.3.3",
    "A chain longer than the card can hold is refused, and the card goes on.",
    "6A84 | 6700 | 6883, 9000",
    allow=("6A80 | 6F00 | 6985, 9000",),
    changes=Changes.OBJECTS,
)
def _ap_17(stand: CardStand) -> tuple[str, ...]:
    placed(stand, SECURITY, security_object(16))
    request = put_request(SECURITY, bytes(255 * MOST_BLOCKS))
    for each in chain(PUT_DATA, 0x3F, 0xFF, request):
        last = stand.send(each)
        if not last.ok:
            break
    return last.word, stand.send(SELECT_PIV).kind


@transport.case(
    "AP-18",
    "5.2",
    "A command that gives data is answered without an Le field, too.",
    "whole, same",
    allow=("6CXX, 6CXX",),
)
def _ap_18(stand: CardStand) -> tuple[str, ...]:
    wanted = stand.must(GET_DATA, 0x3F, 0xFF, tag_list(DISCOVERY))
    selected = stand.send(command(0xA4, 0x04, 0x00, PIV_SHORT))
    told = stand.send(command(GET_DATA, 0x3F, 0xFF, tag_list(DISCOVERY)))
    if selected.kind == told.kind == "6CXX":
        return selected.kind, told.kind
    return _template(stand.rest(selected)), same(stand.rest(told), wanted)


def _random_apdus(seed: int) -> "list[bytes]":
    """Return random APDUs, every second one a good one with bytes that are changed."""
    chance = random.Random(seed)  # noqa: S311 - it is repeated, not secret
    good = [
        bytes.fromhex(SELECT_PIV),
        command(0xA4, 0x04, 0x00, AID, le=256),
        *(command(GET_DATA, 0x3F, 0xFF, tag_list(tag), le=256) for tag in (CHUID, CCC, SECURITY)),
        command(PUT_DATA, 0x3F, 0xFF, put_request(SECURITY, bytes(40)), cla=0x10),
        command(AUTHENTICATE, 0x11, AUTH, sign_request(bytes(32)), le=256),
        command(AUTHENTICATE, 0x03, 0x9B, tlv(0x7C, tlv(0x80, b"")), le=256),
        command(0x47, 0x00, AUTH, tlv(0xAC, tlv(0x80, b"\x11")), le=256),
        extended(GET_DATA, 0x3F, 0xFF, tag_list(CHUID), le=65536),
    ]
    apdus = []
    for index in range(RANDOM):
        if index % 2:
            apdu = bytearray(chance.choice(good))
            for _ in range(chance.randint(1, 3)):
                apdu[chance.randrange(len(apdu))] = chance.randrange(256)
        else:
            apdu = bytearray(chance.randbytes(chance.choice((4, 5, 6, 12, 40, 261))))
        # What wipes the card, or sets its tries, does so by the model when its PINs are blocked.
        apdus.append(bytes(apdu) if apdu[1] not in {0xFB, 0xFA} else b"\x00\x02\x00\x00")
    return apdus


@transport.case(
    "AP-19",
    "5.1",
    "Whatever is sent, the card answers with a status word, lives on, and changes nothing that "
    "nobody was allowed to change.",
    "answered, 9000, same, same, verifies",
    changes=Changes.TOKEN,
    locks=True,  # among the random commands there are some that give a wrong PIN
    limit=90.0,
)
def _ap_19(stand: CardStand) -> tuple[str, ...]:
    stand.note(f"seed {SEED}")
    key = ready(stand, CARD)
    before = [get_data(stand, tag) for tag in (CHUID, SECURITY)]
    silent = [
        f"{apdu.hex()} gave {answer.name} {answer.response.hex()}"
        for apdu in _random_apdus(SEED)
        if len((answer := stand.send(apdu)).response) < 2  # noqa: PLR2004 - a status word
    ]
    stand.renew(RESET)
    alive = stand.send(SELECT_PIV).word
    after = [get_data(stand, tag) for tag in (CHUID, SECURITY)]
    kept = ["same" if new == old else "another" for old, new in zip(before, after, strict=True)]
    return silent[0] if silent else "answered", alive, *kept, signs(stand, CARD, key)


@transport.case(
    "AP-20",
    "5.1",
    "A reset brings the card back to the state in which it was powered on: the same application, "
    "no PIN given.",
    "9000, 63CX, same",
)
def _ap_20(stand: CardStand) -> tuple[str, ...]:
    card = stand.connect()
    if card.reconnect(RESET) != SUCCESS:
        return ("no reset",)
    first = stand.send(GET_DISCOVERY, card)
    stand.select(card)
    logged_in(stand, card=card)
    before = stand.send(SELECT_PIV, card).word
    card.reconnect(RESET)
    again = stand.send(GET_DISCOVERY, card)
    stand.select(card)
    state = status(stand, card=card).kind
    return before, state, "same" if again == first else again.word

"""The PIV application and its data objects (SP 800-73-5 Part 2 §3.1, Part 1 §3): PV."""

from ukey_harness.cases.card.needs import no_secure_messaging
from ukey_harness.cases.card.piv import (
    AID,
    AUTHENTICATE,
    CCC,
    CHUID,
    DISCOVERY,
    PRINTED,
    SM_CERTIFICATE,
    content,
    get_data,
    logged_in,
    placed,
    status,
)
from ukey_harness.cases.card.stand import PIV_SHORT, CardStand
from ukey_harness.cases.case import Changes, Section
from ukey_harness.pcsc import Answer
from ukey_harness.pcsc.apdu import command
from ukey_harness.pcsc.tlv import objects, tlv, value

application = Section("SP 800-73-5", "The PIV application", sign="")

RIGHT_TRUNCATED = AID[:-2]
UNKNOWN_AID = bytes.fromhex("A0000005550102030405")
UNASSIGNED = 0x5FC1EE
# Mandatory data of the CHUID and the CCC (Part 1, tables 10 and 9), in their order.
CHUID_DATA = [0x30, 0x34, 0x35, 0x3E, 0xFE]
CCC_DATA = [0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE]
GUID, GUID_LENGTH = 0x34, 16
POLICY_LENGTH = 2
PIV_PIN, GLOBAL_PIN, RESERVED = 0x40, 0x20, 0x83  # bits of its first byte


def selected(stand: CardStand, aid: bytes) -> Answer:
    """SELECT an application by its identifier."""
    return stand.ask(0xA4, 0x04, 0x00, aid)


@application.case(
    "PV-01",
    "Part 2 §3.1.1",
    "SELECT with the whole identifier gives the application property template: identifier and tag "
    "allocation authority.",
    "9000, 4F, 79",
)
def _pv_01(stand: CardStand) -> tuple[str, ...]:
    answer = selected(stand, AID)
    name = value(answer.data, 0x61, 0x4F) or b""
    authority = value(answer.data, 0x61, 0x79, 0x4F) or b""
    return (
        answer.word,
        "4F" if name and AID.endswith(name) else f"4F is {name.hex()}",
        "79" if authority and AID.startswith(authority) else f"79 is {authority.hex()}",
    )


@application.case(
    "PV-02",
    "Part 2 §3.1.1",
    "SELECT with the identifier truncated on its right gives the same.",
    "9000, same, 9000, same",
    allow=("9000, same, 6A82, none",),  # shorter than without the version is more than is asked
)
def _pv_02(stand: CardStand) -> tuple[str, ...]:
    wanted = selected(stand, AID).data
    seen: list[str] = []
    for aid in (RIGHT_TRUNCATED, PIV_SHORT):
        answer = selected(stand, aid)
        seen += [answer.word, ("same" if answer.data == wanted else "another")]
        seen[-1] = seen[-1] if answer.ok else "none"
    return tuple(seen)


@application.case(
    "PV-03",
    "Part 2 §3.1.1",
    "SELECT of an application that the card does not have is refused; PIV stays selected and the "
    "PIN given.",
    "6A82, 9000, 9000",
)
def _pv_03(stand: CardStand) -> tuple[str, ...]:
    logged_in(stand)
    refused = selected(stand, UNKNOWN_AID).word
    return refused, get_data(stand, DISCOVERY).word, status(stand).kind


@application.case(
    "PV-04",
    "Part 1 §3.3.2",
    "The discovery object names the application and says which PINs it takes.",
    "9000, 4F, 5F2F",
    allow=("6A82, none, none",),
)
def _pv_04(stand: CardStand) -> tuple[str, ...]:
    answer = get_data(stand, DISCOVERY)
    if not answer.ok:
        return answer.word, "none", "none"
    name, policy = (value(answer.data, 0x7E, tag) or b"" for tag in (0x4F, 0x5F2F))
    return (
        answer.word,
        "4F" if name == AID else f"4F is {name.hex()}",
        "5F2F" if _well_formed(policy) else f"5F2F is {policy.hex()}",
    )


def _well_formed(policy: bytes) -> bool:
    """Tell whether that is a PIN usage policy: the PIV PIN is taken, what is reserved is zero."""
    if len(policy) != POLICY_LENGTH or policy[0] & RESERVED or not policy[0] & PIV_PIN:
        return False
    return bool(policy[0] & GLOBAL_PIN) or not policy[1]


def _complete(stand: CardStand, tag: int, wanted: list[int]) -> tuple[str, str]:
    """Read an object; "complete" when it has the mandatory data in their order."""
    answer = get_data(stand, tag)
    if not answer.ok:
        return answer.word, "none"
    try:
        found = objects(value(answer.data, 0x53) or b"")
    except ValueError as error:
        return answer.word, str(error)
    tags = [each for each, _ in found]
    if [each for each in tags if each in wanted] != wanted or tags[-1] != wanted[-1]:
        return answer.word, " ".join(f"{each:X}" for each in tags)
    identity = dict(found).get(GUID, bytes(GUID_LENGTH))
    return answer.word, "complete" if len(identity) == GUID_LENGTH else f"GUID {identity.hex()}"


@application.case(
    "PV-05",
    "Part 1 §3.1",
    "CHUID and CCC have their mandatory data, in order, the error detection code last.",
    "9000, complete, 9000, complete",
    allow=("6A82, none, 6A82, none",),  # a card that nobody has issued yet
)
def _pv_05(stand: CardStand) -> tuple[str, ...]:
    return *_complete(stand, CHUID, CHUID_DATA), *_complete(stand, CCC, CCC_DATA)


@application.case(
    "PV-06",
    "Part 2 §3.1.2",
    "GET DATA of an object that the card does not have says so.",
    "6A82, no data",
)
def _pv_06(stand: CardStand) -> tuple[str, str]:
    answer = get_data(stand, UNASSIGNED)
    return answer.word, "data" if answer.data else "no data"


@application.case(
    "PV-07",
    "Part 1 §3.3.1",
    "Printed information can be read only when the PIN was given.",
    "6982, no data, 9000, same",
    changes=Changes.OBJECTS,
)
def _pv_07(stand: CardStand) -> tuple[str, ...]:
    logged_in(stand)
    written = tlv(0x01, b"ukeylab case") + tlv(0xFE, b"")
    placed(stand, PRINTED, written)
    stand.renew()
    before = get_data(stand, PRINTED)
    logged_in(stand)
    after = get_data(stand, PRINTED)
    same = "same" if content(stand, PRINTED) == written else "another"
    return before.word, "data" if before.data else "no data", after.word, same


@application.case(
    "PV-08",
    "Part 2 §3.1.2",
    "GET DATA whose tag list is not well formed is refused.",
    "6A80 | 6700, 6A80 | 6700, 6A80 | 6700",
    allow=("6A80 | 6700 | 6A82, 6A80 | 6700 | 6A82, 6A80 | 6700 | 6A82",),
)
def _pv_08(stand: CardStand) -> tuple[str, ...]:
    malformed = ("5C 05 5F C1 02", "5C 00", "4D 03 5F C1 02")
    return tuple(
        stand.send(command(0xCB, 0x3F, 0xFF, bytes.fromhex(each), le=256)).kind
        for each in malformed
    )


@application.case(
    "PV-46",
    "Part 2 §4",
    "A card without secure messaging has neither its certificate nor its key.",
    "6A82, 6A86, refused",
    allow=("6A82, 6A80 | 6A88 | 6D00, refused",),
    needs=(no_secure_messaging,),
)
def _pv_46(stand: CardStand) -> tuple[str, ...]:
    ephemeral = bytes(9) + b"\x04" + bytes(64)
    request = tlv(0x7C, tlv(0x81, ephemeral) + tlv(0x82, b""))
    agreed = stand.ask(AUTHENTICATE, 0x27, 0x04, request).word
    sealed = stand.send("0C CB 3F FF 0D 87 0B 01 00 11 22 33 44 55 66 77 88 99 00")
    return (
        get_data(stand, SM_CERTIFICATE).word,
        agreed,
        "answered" if sealed.ok or sealed.data else "refused",
    )

"""Slot and token management (PKCS#11 3.2 §5.5): ST. PINs stand in pins.py, events in removal.py."""

import threading
import time

from ukey_harness.cases.case import Changes, NotApplicable, Section
from ukey_harness.cases.pkcs11.general import padding
from ukey_harness.cases.pkcs11.keys import data
from ukey_harness.cases.pkcs11.stand import MOST_LISTED, Stand
from ukey_harness.cryptoki.arguments import Cell, Numbers, Raw, Record
from ukey_harness.cryptoki.module import padded_text
from ukey_harness.cryptoki.names import (
    CKA,
    CKF_DONT_BLOCK,
    CKF_RW_SESSION,
    CKF_SERIAL_SESSION,
    CKU,
    NOBODY,
    UNAVAILABLE,
    SlotFlag,
    TokenFlag,
)

slots = Section("PKCS#11 3.2", "Slot and token management")

LABEL = b"ukeylab new label".ljust(32)
HARDWARE = 0x1  # CKF_HW, which is no use of a mechanism
PATIENCE = 5.0  # seconds that a wait may need to be woken


@slots.case("ST-01", "5.5.1", "A NULL slot list asks for the count alone.", "OK, OK, same count")
def _st_01(stand: Stand) -> tuple[str, ...]:
    stand.initialize()
    wanted, room = Cell(NOBODY), stand.module.ffi.new("CK_ULONG[]", 64)
    first = stand.rv("GetSlotList", 0, None, wanted)
    given = Cell(64)
    second = stand.rv("GetSlotList", 0, room, given)
    return first, second, "same count" if wanted.value == given.value else "another count"


@slots.case(
    "ST-02",
    "5.5.1",
    "A slot list that is too short is refused, and the true count is given.",
    "BUFFER_TOO_SMALL, true count, untouched",
)
def _st_02(stand: Stand) -> tuple[str, ...]:
    many = len(stand.slots(present=False))
    short = Numbers(0)
    name = stand.rv("GetSlotList", 0, short)
    return (
        name,
        "true count" if short.count == many else f"{short.count} for {many}",
        "untouched" if short.untouched else "written to",
    )


@slots.case("ST-03", "5.5.1", "C_GetSlotList refuses a NULL count.", "ARGUMENTS_BAD")
def _st_03(stand: Stand) -> str:
    stand.initialize()
    return stand.rv("GetSlotList", 0, None, None)


@slots.case(
    "ST-04",
    "5.5.1",
    "The slots with a token are those of all slots whose CKF_TOKEN_PRESENT is set.",
    "agree",
)
def _st_04(stand: Stand) -> str:
    everything, present = stand.slots(present=False), stand.slots(present=True)
    flagged = {slot for slot in everything if SlotFlag.TOKEN_PRESENT in stand.slot_flags(slot)}
    if len(set(everything)) != len(everything):
        return f"a slot twice: {everything}"
    if not present:
        return "no slot has a token"
    return "agree" if set(present) == flagged else f"{present} listed, {sorted(flagged)} flagged"


@slots.case("ST-05", "5.5.2", "C_GetSlotInfo refuses an unknown slot.", "SLOT_ID_INVALID")
def _st_05(stand: Stand) -> str:
    stand.initialize()
    return stand.rv("GetSlotInfo", NOBODY, stand.module.ffi.new("CK_SLOT_INFO *"))


@slots.case("ST-06", "5.5.2", "C_GetSlotInfo refuses a NULL pointer.", "ARGUMENTS_BAD")
def _st_06(stand: Stand) -> str:
    return stand.rv("GetSlotInfo", stand.slot, None)


@slots.case("ST-07", "3.2", "The texts of CK_SLOT_INFO are padded with blanks.", "padded")
def _st_07(stand: Stand) -> str:
    info = stand.structure("GetSlotInfo", "CK_SLOT_INFO", stand.slot)
    return padding(slotDescription=info.slotDescription, manufacturerID=info.manufacturerID)


@slots.case("ST-08", "5.5.3", "C_GetTokenInfo refuses an unknown slot.", "SLOT_ID_INVALID")
def _st_08(stand: Stand) -> str:
    stand.initialize()
    return stand.rv("GetTokenInfo", NOBODY, stand.module.ffi.new("CK_TOKEN_INFO *"))


@slots.case("ST-09", "5.5.3", "C_GetTokenInfo refuses a NULL pointer.", "ARGUMENTS_BAD")
def _st_09(stand: Stand) -> str:
    return stand.rv("GetTokenInfo", stand.slot, None)


@slots.case("ST-10", "3.2", "The texts of CK_TOKEN_INFO are padded with blanks.", "padded")
def _st_10(stand: Stand) -> str:
    info = stand.token_info()
    return padding(
        label=info.label,
        manufacturerID=info.manufacturerID,
        model=info.model,
        serialNumber=info.serialNumber,
    )


@slots.case(
    "ST-11",
    "3.2",
    "A token with its PINs set shows that it is initialised, that its user PIN is, and that a "
    "login is needed.",
    "TOKEN_INITIALIZED, USER_PIN_INITIALIZED, LOGIN_REQUIRED",
)
def _st_11(stand: Stand) -> tuple[str, ...]:
    flags = stand.token_flags()
    wanted = (
        TokenFlag.TOKEN_INITIALIZED,
        TokenFlag.USER_PIN_INITIALIZED,
        TokenFlag.LOGIN_REQUIRED,
    )
    return tuple(str(each.name) if each in flags else f"no {each.name}" for each in wanted)


@slots.case(
    "ST-12",
    "3.2",
    "The session counts of CK_TOKEN_INFO follow the sessions that are opened and closed.",
    "2, 1, 1, 1",
    allow=("unavailable, unavailable, unavailable, unavailable",),
)
def _st_12(stand: Stand) -> tuple[str, ...]:
    read_only = stand.session(write=False)
    stand.session()
    seen = _counts(stand)
    stand.must("CloseSession", read_only)
    return seen + _counts(stand)


def _counts(stand: Stand) -> tuple[str, str]:
    info = stand.token_info()
    counts = int(info.ulSessionCount), int(info.ulRwSessionCount)
    told = ["unavailable" if count == UNAVAILABLE else str(count) for count in counts]
    return told[0], told[1]


@slots.case(
    "ST-13",
    "5.5.5",
    "A NULL mechanism list asks for the count, and one that is too short is refused with it.",
    "OK, BUFFER_TOO_SMALL, same count, ARGUMENTS_BAD",
)
def _st_13(stand: Stand) -> tuple[str, ...]:
    asked = Numbers(None)
    first = stand.rv("GetMechanismList", stand.slot, asked)
    if asked.count > MOST_LISTED:
        return first, f"a count of {asked.count}"
    short = Numbers(max(0, asked.count - 1))
    second = stand.rv("GetMechanismList", stand.slot, short)
    same = "same count" if short.count == asked.count > 0 else "another count"
    return first, second, same, stand.rv("GetMechanismList", stand.slot, None, None)


@slots.case("ST-14", "5.5.5", "C_GetMechanismList refuses an unknown slot.", "SLOT_ID_INVALID")
def _st_14(stand: Stand) -> str:
    stand.initialize()
    return stand.rv("GetMechanismList", NOBODY, None, Cell())


@slots.case(
    "ST-15",
    "5.5.6",
    "Each mechanism of the list is listed once and has an info, whose smallest key size does not "
    "exceed its largest.",
    "consistent",
)
def _st_15(stand: Stand) -> str:
    kinds = stand.mechanisms
    if not kinds:
        return "no mechanism is listed"
    if len(set(kinds)) != len(kinds):
        return "a mechanism is listed twice"
    if not any(stand.mechanism_flags(kind) & ~HARDWARE for kind in kinds):
        return "no mechanism is good for anything"
    for kind in kinds:
        record = Record("CK_MECHANISM_INFO")
        name, info = stand.rv("GetMechanismInfo", stand.slot, kind, record), record.structure
        if name != "OK":
            return f"0x{kind:X}: {name}"
        if info.ulMinKeySize > info.ulMaxKeySize:
            return f"0x{kind:X}: sizes {info.ulMinKeySize} to {info.ulMaxKeySize}"
    return "consistent"


@slots.case(
    "ST-16",
    "5.5.6",
    "C_GetMechanismInfo fills its structure whatever stood there before.",
    "same",
)
def _st_16(stand: Stand) -> str:
    ffi = stand.module.ffi
    size = ffi.sizeof("CK_MECHANISM_INFO")
    odd = []
    for kind in stand.mechanisms:
        answers = []
        for filling in (b"\x00", b"\xff"):
            info = ffi.new("CK_MECHANISM_INFO *")
            ffi.memmove(info, filling * size, size)
            stand.must("GetMechanismInfo", stand.slot, kind, info)
            answers.append((info.ulMinKeySize, info.ulMaxKeySize, info.flags))
        if answers[0] != answers[1]:
            odd.append(f"0x{kind:X}")
    return "same" if not odd else f"left as they were: {' '.join(odd)}"


@slots.case(
    "ST-17",
    "5.5.6",
    "C_GetMechanismInfo refuses a mechanism that is not listed.",
    "MECHANISM_INVALID",
)
def _st_17(stand: Stand) -> str:
    return stand.rv(
        "GetMechanismInfo", stand.slot, NOBODY, stand.module.ffi.new("CK_MECHANISM_INFO *")
    )


@slots.case("ST-18", "5.5.4", "A wait that must not block says that there is no event.", "NO_EVENT")
def _st_18(stand: Stand) -> str:
    stand.initialize()
    return stand.rv("WaitForSlotEvent", CKF_DONT_BLOCK, Cell(), None)


@slots.case(
    "ST-19",
    "5.5.4",
    "C_Finalize wakes a thread that waits for a slot event, with the code for a library that is "
    "not initialised.",
    "CRYPTOKI_NOT_INITIALIZED, OK",
)
def _st_19(stand: Stand) -> tuple[str, str]:
    stand.initialize()
    answers: list[str] = []
    waiting = threading.Thread(
        target=lambda: answers.append(stand.rv("WaitForSlotEvent", 0, Cell(), None)), daemon=True
    )
    waiting.start()
    time.sleep(0.2)  # until it waits; a library that answers at once has answered by then
    ended = stand.rv("Finalize", None)
    waiting.join(PATIENCE)
    return (answers[0] if answers else "still waiting"), ended


@slots.case(
    "ST-20",
    "5.5.4",
    "C_WaitForSlotEvent wants NULL for pReserved.",
    "ARGUMENTS_BAD",
    allow=("NO_EVENT",),
)
def _st_20(stand: Stand) -> str:
    stand.initialize()
    something = stand.module.ffi.new("CK_ULONG *")
    return stand.rv("WaitForSlotEvent", CKF_DONT_BLOCK, Cell(), something)


def init_token(stand: Stand, pin: str | None = None, label: bytes = LABEL) -> str:
    """C_InitToken, with the right SO PIN unless another is given."""
    secret = (stand.pin(CKU.SO) if pin is None else pin).encode()
    return stand.rv("InitToken", stand.slot, secret, Raw(label))


@slots.case(
    "ST-21",
    "5.5.7",
    "A token with an open session is not initialised.",
    "SESSION_EXISTS, same label",
    changes=Changes.TOKEN,
)
def _st_21(stand: Stand) -> tuple[str, str]:
    stand.session(write=False)
    before = padded_text(stand.token_info().label)
    name = init_token(stand)
    same = padded_text(stand.token_info().label) == before
    return name, "same label" if same else "new label"


@slots.case(
    "ST-22",
    "5.5.7",
    "A token that is initialised is not initialised again with a wrong SO PIN.",
    "PIN_INCORRECT, same label, OK",
    changes=Changes.TOKEN,
)
def _st_22(stand: Stand) -> tuple[str, ...]:
    before = padded_text(stand.token_info().label)
    name = init_token(stand, stand.wrong_pin(stand.pin(CKU.SO)))
    same = padded_text(stand.token_info().label) == before
    return name, "same label" if same else "new label", stand.login(stand.session())


@slots.case("ST-23", "5.5.7", "C_InitToken refuses an unknown slot.", "SLOT_ID_INVALID")
def _st_23(stand: Stand) -> str:
    stand.initialize()
    return stand.rv("InitToken", NOBODY, stand.pin(CKU.SO).encode(), Raw(LABEL))


@slots.case("ST-24", "5.5.7", "C_InitToken refuses a NULL label.", "ARGUMENTS_BAD",
            changes=Changes.TOKEN)  # fmt: skip
def _st_24(stand: Stand) -> str:
    return stand.rv("InitToken", stand.slot, stand.pin(CKU.SO).encode(), None)


@slots.case(
    "ST-25",
    "5.5.7",
    "C_InitToken destroys the objects, sets the label, keeps the SO PIN and takes the user's away.",
    "OK, new label, initialised, no user PIN, 0, OK",
    changes=Changes.TOKEN,
)
def _st_25(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    stand.create(session, data({CKA.TOKEN: True}))
    stand.create(session, data({CKA.TOKEN: True, CKA.PRIVATE: True}))
    stand.must("CloseAllSessions", stand.slot)
    name = init_token(stand)
    info, flags = stand.token_info(), stand.token_flags()
    session = stand.session()
    return (
        name,
        "new label" if bytes(info.label) == LABEL else padded_text(info.label),
        "initialised" if TokenFlag.TOKEN_INITIALIZED in flags else "not initialised",
        "user PIN" if TokenFlag.USER_PIN_INITIALIZED in flags else "no user PIN",
        stand.labelled(session),
        stand.login(session, CKU.SO),
    )


@slots.case(
    "ST-26",
    "5.6.8",
    "The user cannot log in before the SO has set a user PIN.",
    "OK, USER_PIN_NOT_INITIALIZED",
    changes=Changes.TOKEN,
)
def _st_26(stand: Stand) -> tuple[str, str]:
    name = init_token(stand)
    return name, stand.login(stand.session())


@slots.case(
    "ST-27",
    "5.6.1",
    "No session is opened with a token that is not initialised, and such a one says so.",
    "TOKEN_NOT_INITIALIZED, not initialised",
    allow=("TOKEN_NOT_RECOGNIZED, not initialised",),
)
def _st_27(stand: Stand) -> tuple[str, str]:
    added: list[int] = []
    if "add_token" in stand.subject.acts:  # then it is known, whatever the token says of itself
        added = [int(stand.act("add_token", initialized=False)["slot"])]
        stand.slots(present=False)  # which looks for new slots
    blank = added or [
        slot
        for slot in stand.slots()
        if not int(stand.token_info(slot).flags) & TokenFlag.TOKEN_INITIALIZED
    ]
    if not blank:
        raise NotApplicable("No slot has a token that is not initialised (C_GetTokenInfo).")
    flags = CKF_SERIAL_SESSION | CKF_RW_SESSION
    shown = int(stand.token_info(blank[0]).flags) & TokenFlag.TOKEN_INITIALIZED
    name = stand.rv("OpenSession", blank[0], flags, None, None, Cell())
    return name, "initialised" if shown else "not initialised"


@slots.case("ST-28", "3.2", "The serial number of an initialised token is not blank.", "set")
def _st_28(stand: Stand) -> str:
    return "set" if padded_text(stand.token_info().serialNumber) else "blank"


@slots.case(
    "ST-29",
    "3.2",
    "The limits of a PIN's length are set, the lower one does not exceed the upper one, and the "
    "PIN that works is within them.",
    "sane",
)
def _st_29(stand: Stand) -> str:
    info = stand.token_info()
    least, most, length = int(info.ulMinPinLen), int(info.ulMaxPinLen), len(stand.subject.pin)
    if 0 < least <= length <= most != UNAVAILABLE:
        return "sane"
    return f"{least} to {most}, and the user's PIN has {length}"

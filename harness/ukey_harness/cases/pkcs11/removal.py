"""Tokens that are taken out and put back (PKCS#11 3.2 §5.5.4, §5.1.2): DR, EV."""

import threading
import time

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.keys import MESSAGE, data, rsa
from ukey_harness.cases.pkcs11.needs import acts, removable
from ukey_harness.cases.pkcs11.sessions import opened
from ukey_harness.cases.pkcs11.sign import HASHED_RSA
from ukey_harness.cases.pkcs11.slots import init_token
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Cell, Mechanism, Room, Template
from ukey_harness.cryptoki.module import padded_text
from ukey_harness.cryptoki.names import (
    CKA,
    CKF_DONT_BLOCK,
    CKF_SERIAL_SESSION,
    CKM,
    SlotFlag,
)

removal = Section("PKCS#11 3.2", "Taking tokens out")

PATIENCE = 5.0  # seconds until a wait must have been woken
DEAD = "SESSION_HANDLE_INVALID"
GONE = {DEAD, "DEVICE_REMOVED", "DEVICE_ERROR", "FUNCTION_FAILED", "SESSION_CLOSED"}


def event(stand: Stand) -> tuple[str, int]:
    """C_WaitForSlotEvent without blocking; return its name and the slot that it wrote."""
    slot = Cell(0)
    name = stand.rv("WaitForSlotEvent", CKF_DONT_BLOCK, slot, None)
    return name, slot.value


def no_more_events(stand: Stand) -> None:
    """Take all events that are waiting."""
    while event(stand)[0] == "OK":
        pass


def waited(stand: Stand) -> tuple[list[tuple[str, int]], threading.Thread]:
    """Begin to wait for an event in another thread."""
    answers: list[tuple[str, int]] = []

    def wait() -> None:
        slot = Cell(0)
        name = stand.rv("WaitForSlotEvent", 0, slot, None)
        answers.append((name, slot.value))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    time.sleep(0.2)  # until it waits
    return answers, thread


def which(stand: Stand, slot: int, wanted: int) -> str:
    """Return "its slot" when the slot is the wanted one."""
    del stand
    return "its slot" if slot == wanted else f"slot {slot} for {wanted}"


@removal.case(
    "DR-01",
    "5.1.2",
    "When the token is taken out its sessions are closed: their handles are refused.",
    f"{DEAD}, {DEAD}",
    allow=(f"{DEAD} | DEVICE_REMOVED | DEVICE_ERROR, {DEAD} | DEVICE_REMOVED | DEVICE_ERROR",),
    needs=(removable,),
)
def _dr_01(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    stand.act("take_out")
    return (
        stand.rv("FindObjectsInit", session, Template()),
        stand.rv("CreateObject", session, Template(data({CKA.TOKEN: True})), Cell()),
    )


@removal.case(
    "DR-02",
    "5.5.3",
    "A slot whose token was taken out has no token to tell of.",
    "TOKEN_NOT_PRESENT",
    allow=("DEVICE_REMOVED | TOKEN_NOT_RECOGNIZED",),
    needs=(removable,),
)
def _dr_02(stand: Stand) -> str:
    slot = stand.slot
    stand.act("take_out")
    return stand.rv("GetTokenInfo", slot, stand.module.ffi.new("CK_TOKEN_INFO *"))


@removal.case(
    "EV-01",
    "5.5.4",
    "A token that is put in is an event of its slot, told once.",
    "OK, its slot, NO_EVENT",
    needs=(removable,),
)
def _ev_01(stand: Stand) -> tuple[str, ...]:
    slot = stand.slot
    stand.act("take_out")
    no_more_events(stand)
    stand.act("plug_in")
    name, told = event(stand)
    return name, which(stand, told, slot), event(stand)[0]


@removal.case(
    "EV-02",
    "5.5.4",
    "A token that is taken out is an event of its slot, told once.",
    "OK, its slot, NO_EVENT",
    needs=(removable,),
)
def _ev_02(stand: Stand) -> tuple[str, ...]:
    slot = stand.slot
    no_more_events(stand)
    stand.act("take_out")
    name, told = event(stand)
    return name, which(stand, told, slot), event(stand)[0]


@removal.case(
    "EV-03",
    "5.5.4",
    "When two slots have an event, each is told once.",
    "OK, OK, NO_EVENT, both slots",
    needs=(removable, acts("add_token")),
)
def _ev_03(stand: Stand) -> tuple[str, ...]:
    stand.finalize()
    other = stand.act("add_token")
    stand.forget_slot()
    slots = {stand.slot, *(each for each in stand.slots() if each != stand.slot)}
    no_more_events(stand)
    stand.act("take_out")
    stand.act("take_out", name=other["name"])
    answers = [event(stand) for _ in range(3)]
    told = {slot for name, slot in answers if name == "OK"}
    return *(name for name, _ in answers), "both slots" if told == slots else str(sorted(told))


@removal.case(
    "EV-04",
    "5.5.4",
    "What happened to a slot before C_Initialize is no event.",
    "NO_EVENT",
    needs=(removable,),
)
def _ev_04(stand: Stand) -> str:
    stand.finalize()
    stand.act("take_out")
    stand.act("plug_in")
    stand.initialize()
    return event(stand)[0]


@removal.case(
    "EV-05",
    "5.5.4",
    "A wait that blocks is woken by a token that is put in, and by C_Finalize with an error.",
    "OK, its slot, CRYPTOKI_NOT_INITIALIZED",
    needs=(removable,),
)
def _ev_05(stand: Stand) -> tuple[str, ...]:
    slot = stand.slot
    stand.act("take_out")
    no_more_events(stand)
    first, thread = waited(stand)
    stand.act("plug_in")
    thread.join(PATIENCE)
    no_more_events(stand)
    second, thread = waited(stand)
    stand.rv("Finalize", None)
    thread.join(PATIENCE)
    woken = first[0] if first else ("still waiting", slot)
    return woken[0], which(stand, woken[1], slot), second[0][0] if second else "still waiting"


@removal.case(
    "EV-06",
    "3.2",
    "The slot stays and keeps its number; its flag tells whether a token is in it.",
    "present, absent, present, listed, not listed, same slot",
    needs=(removable,),
)
def _ev_06(stand: Stand) -> tuple[str, ...]:
    slot = stand.slot
    seen, listed = [], []
    for verb in ("", "take_out", "plug_in"):
        if verb:
            stand.act(verb)
        there = SlotFlag.TOKEN_PRESENT in stand.slot_flags(slot)
        seen.append("present" if there else "absent")
        listed.append(slot in stand.slots())
    stand.forget_slot()
    return (
        *seen,
        "listed" if listed[0] and listed[2] else "not listed",
        "listed" if listed[1] else "not listed",
        "same slot" if stand.slot == slot else "another slot",
    )


@removal.case(
    "EV-07",
    "5.1.3",
    "An empty slot says that it has no token.",
    "TOKEN_NOT_PRESENT",
    needs=(removable,),
)
def _ev_07(stand: Stand) -> str:
    slot = stand.slot
    stand.act("take_out")
    names = {
        "GetTokenInfo": stand.rv("GetTokenInfo", slot, stand.module.ffi.new("CK_TOKEN_INFO *")),
        "GetMechanismList": stand.rv("GetMechanismList", slot, None, Cell()),
        "OpenSession": opened(stand, slot, CKF_SERIAL_SESSION),
        "InitToken": init_token(stand),
    }
    odd = [f"C_{each} {name}" for each, name in names.items() if name != "TOKEN_NOT_PRESENT"]
    return "; ".join(odd) or "TOKEN_NOT_PRESENT"


@removal.case(
    "EV-08",
    "5.1.7",
    "A function that takes a session never says that there is no token: the handle is refused.",
    f"{DEAD}, {DEAD}, {DEAD}",
    allow=(f"{DEAD} | DEVICE_REMOVED, {DEAD} | DEVICE_REMOVED, {DEAD} | DEVICE_REMOVED",),
    needs=(removable,),
)
def _ev_08(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    stand.act("take_out")
    return (
        stand.rv("GetSessionInfo", session, stand.module.ffi.new("CK_SESSION_INFO *")),
        stand.rv("DigestInit", session, Mechanism(CKM.SHA256)),
        stand.rv("Logout", session),
    )


@removal.case(
    "EV-09",
    "5.6.1",
    "A token that is put back has its token objects, and neither the old sessions nor their "
    "objects nor the login.",
    f"{DEAD}, 2, 1, 0",
    allow=("DEVICE_REMOVED, 2, 1, 0",),
    needs=(removable,),
)
def _ev_09(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    stand.create(session, data({CKA.TOKEN: True}))
    stand.create(session, data({CKA.LABEL: "ukeylab-case passing"}))
    stand.act("take_out")
    stand.act("plug_in")
    stand.forget_slot()
    old = stand.rv("GetSessionInfo", session, stand.module.ffi.new("CK_SESSION_INFO *"))
    new = stand.session()
    seen = old, stand.state(new), stand.labelled(new), stand.labelled(new, "ukeylab-case passing")
    stand.enter(new)
    for handle in stand.find(new, {CKA.TOKEN: True, CKA.PRIVATE: False}):
        stand.rv("DestroyObject", new, handle)
    return seen


@removal.case(
    "EV-10",
    "5.13.2",
    "A signature whose token is taken out meanwhile fails, and nothing of it is given.",
    "refused, untouched, refused",
    needs=(removable, HASHED_RSA),
)
def _ev_10(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    _, private = rsa(stand, session)
    stopped: list[tuple[str, bool]] = []

    def work() -> None:
        while not stopped:
            room = Room(1024)
            name = stand.rv("SignInit", session, Mechanism(CKM.SHA256_RSA_PKCS), private)
            if name == "OK":
                name = stand.rv("Sign", session, MESSAGE, room)
            if name != "OK":
                stopped.append((name, room.untouched))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    time.sleep(0.1)
    stand.act("take_out")
    thread.join(PATIENCE)
    name, untouched = stopped[0] if stopped else ("signs still", False)
    again = stand.rv("Sign", session, MESSAGE, Room())
    return (
        "refused" if name in GONE else name,
        "untouched" if untouched else "written to",
        "refused" if again in GONE | {"OPERATION_NOT_INITIALIZED"} else again,
    )


@removal.case(
    "EV-11",
    "5.5.1",
    "A new slot shows when the number of slots is asked for, not before, and every listed slot is "
    "valid.",
    "not yet, there, OK",
    needs=(acts("add_token"),),
)
def _ev_11(stand: Stand) -> tuple[str, ...]:
    before = stand.slots(present=False)
    stand.act("add_token")
    room = stand.module.ffi.new("CK_ULONG[]", 64)
    count = Cell(64)
    stand.must("GetSlotList", 0, room, count)
    early = "not yet" if count.value == len(before) else "there already"
    after = stand.slots(present=False)
    there = "there" if len(after) == len(before) + 1 else f"{len(after)} slots"
    info = stand.module.ffi.new("CK_SLOT_INFO *")
    names = {stand.rv("GetSlotInfo", slot, info) for slot in after}
    return early, there, " ".join(sorted(names))


@removal.case(
    "EV-12",
    "5.5.4",
    "Another token in the same slot is another token, with nothing of the old one.",
    f"other serial, {DEAD}, 2, 0",
    allow=("other serial, DEVICE_REMOVED, 2, 0",),
    needs=(removable, acts("swap_token")),
)
def _ev_12(stand: Stand) -> tuple[str | int, ...]:
    session, slot = stand.user(), stand.slot
    before = padded_text(stand.token_info().serialNumber)
    stand.create(session, data({CKA.TOKEN: True}))
    stand.act("swap_token")
    stand.slots(present=False)
    after = padded_text(stand.token_info(slot).serialNumber)
    old = stand.rv("GetSessionInfo", session, stand.module.ffi.new("CK_SESSION_INFO *"))
    new = stand.session(slot=slot)
    return (
        "other serial" if after != before else "same serial",
        old,
        stand.state(new),
        stand.labelled(new),
    )


@removal.case(
    "EV-13",
    "3.2",
    "A slot whose token can be taken out says so.",
    "absent, removable",
    needs=(acts("take_out", "plug_in"),),
)
def _ev_13(stand: Stand) -> tuple[str, str]:
    slot, flags = stand.slot, stand.slot_flags()
    stand.act("take_out")
    there = SlotFlag.TOKEN_PRESENT in stand.slot_flags(slot)
    stand.act("plug_in")
    removable_ = SlotFlag.REMOVABLE_DEVICE in flags
    return "present" if there else "absent", "removable" if removable_ else "not removable"

"""Faults at the steps of a key's store: each leaves the key before the change or after it."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from piv_program import PivProgram
from program import PIN, SO_PIN, Program, attributes
from rack_watch import within

from ukey_emulator.card.card import Card
from ukey_emulator.chip import Chip, Role
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.cryptoki.wire import Mechanism, Out
from ukey_emulator.faults import STEPS, FaultPlan, Words, read
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.terms import CKM, CKO, CKR, CKU

NEW_PIN = b"654321"
COUNTED = ("begin", "write", "commit", "committed")


@pytest.fixture
def plan(keyring: Keyring) -> FaultPlan:
    return keyring._slots.faults


@pytest.fixture(autouse=True)
def closed(plan: FaultPlan) -> Iterator[None]:
    yield
    plan.close()


def arm(plan: FaultPlan, **members: Any) -> None:
    plan.add(read({"name": "fault", **members}, Words({}, {})))


def fired(plan: FaultPlan) -> int:
    (info,) = plan.clear("fault")
    return info.fired


def chip_of(keyring: Keyring) -> Chip:
    (slot,) = keyring._slots
    assert slot.chip is not None
    return slot.chip


def state(keyring: Keyring) -> tuple[bool, bool, int]:
    """Tell whether the old PIN and the new one are right, and how many data objects there are."""
    program = Program(face_of(keyring))
    session = program.open()
    right = []
    for pin in (PIN, NEW_PIN):
        code = program.rv("C_Login", session, CKU.USER, pin)
        right.append(code is CKR.OK)
        if code is CKR.OK:
            count = len(program.find(session, CLASS=int(CKO.DATA)))
            program.C_Logout(session)
    program.C_CloseSession(session)
    return right[0], right[1], count


def face_of(keyring: Keyring) -> Face:
    return Face(keyring._slots, lambda *_, **__: None)


def change_pin(program: Program, session: int) -> CKR:
    return program.rv("C_SetPIN", session, PIN, NEW_PIN)


def create(program: Program, session: int) -> CKR:
    template = attributes(CLASS=int(CKO.DATA), TOKEN=True, PRIVATE=True, VALUE=b"kept")
    return program.rv("C_CreateObject", session, template, True)


@pytest.mark.parametrize("step", COUNTED)
@pytest.mark.parametrize("change", [change_pin, create])
def test_power_cut_at_each_step_leaves_the_key_before_or_after(
    change: Any, step: str, keyring: Keyring, plan: FaultPlan, program: Program
) -> None:
    """However often it is met, until the change is through."""
    for nth in range(1, 20):
        session = program.open(user=CKU.USER)
        before = state(keyring)
        arm(plan, store=step, at=nth, power="off")
        code = change(program, session)
        happened = fired(plan)
        if not happened:
            assert code is CKR.OK
            assert nth > 1
            break
        assert code is CKR.DEVICE_REMOVED
        assert not keyring.list()[0].plugged
        assert program.rv("C_GetSessionInfo", session, True) is CKR.SESSION_HANDLE_INVALID
        assert program.rv("C_GetTokenInfo", 0, True) is CKR.TOKEN_NOT_PRESENT
        keyring.plug("key")
        record = chip_of(keyring).pin(Role.USER)
        assert record is not None
        assert record.tries_left <= record.tries
        old, new, count = state(keyring)
        assert old is not new
        if change is create:
            assert count - before[2] == (step == "committed")
        if new:  # go on from where the first time began
            renewed = program.open()
            program.C_Login(renewed, CKU.USER, NEW_PIN)
            program.C_SetPIN(renewed, NEW_PIN, PIN)
            program.C_CloseSession(renewed)
    else:
        raise AssertionError("the change never came through")


@pytest.mark.parametrize("step", [step for step in STEPS if step != "committed"])
@pytest.mark.parametrize(
    ("what", "code"),
    [
        ({"return": "CKR_DEVICE_ERROR"}, CKR.DEVICE_ERROR),
        ({"memory": True}, CKR.DEVICE_MEMORY),
        ({"delay": 0.01}, CKR.OK),
    ],
)
def test_a_store_that_fails_has_changed_nothing(
    step: str, what: dict[str, Any], code: CKR, keyring: Keyring, plan: FaultPlan
) -> None:
    """C_InitToken comes by all of them but those that drop one thing."""
    program = Program(face_of(keyring))
    session = program.open(user=CKU.USER)
    assert create(program, session) is CKR.OK
    program.C_CloseSession(session)
    arm(plan, store=step, **what)
    got = program.rv("C_InitToken", 0, SO_PIN, b"other".ljust(32))
    if not fired(plan):
        assert step in {"drop-fact", "drop-object", "write-object"}
        code = CKR.OK
    assert got is code
    assert keyring.list()[0].label == ("other" if code is CKR.OK else "test key")
    if code is not CKR.OK:
        assert state(keyring) == (True, False, 1)
    assert program.rv("C_InitToken", 0, SO_PIN, b"again".ljust(32)) is CKR.OK


def test_a_hang_in_the_store_lets_the_key_be_pulled(
    keyring: Keyring, plan: FaultPlan, program: Program
) -> None:
    """Even from under C_InitToken, which keeps the slot closed."""
    arm(plan, store="commit", hang=True)
    codes: list[CKR] = []
    thread = threading.Thread(
        target=lambda: codes.append(program.rv("C_InitToken", 0, SO_PIN, b"new".ljust(32)))
    )
    thread.start()
    assert within(20, lambda: plan.list()[0].waiting == 1)
    keyring.unplug("key")
    thread.join(20)
    assert codes == [CKR.DEVICE_REMOVED]
    plan.clear()
    keyring.plug("key")
    assert keyring.list()[0].label == "test key"
    assert state(keyring)[0]


def test_a_hang_in_the_store_ends_with_its_program(
    plan: FaultPlan, program: Program, other_program: Program
) -> None:
    session = program.open(user=CKU.USER)
    arm(plan, store="write-object", at=1, hang=True)
    thread = threading.Thread(target=lambda: create(program, session))
    thread.start()
    assert within(20, lambda: plan.list()[0].waiting == 1)
    ending = threading.Thread(target=program.face.detach, args=(program.application,))
    ending.start()
    ending.join(20)
    thread.join(20)
    assert not ending.is_alive()
    assert not thread.is_alive()
    other = other_program.open(user=CKU.USER)
    assert create(other_program, other) is CKR.OK


def test_for_one_program_and_one_key_only(
    keyring: Keyring, plan: FaultPlan, face: Any, program: Program
) -> None:
    stranger = Program(face)
    stranger.application.pid, stranger.application.name = 2, "stranger"
    keyring.new(name="two", label="two")
    for number, who in ((0, program), (0, stranger), (1, program)):
        who.C_GetSlotList(True, Out(asked=True, capacity=None))
        arm(plan, store="commit", key="key", program="test", **{"return": "CKR_DEVICE_ERROR"})
        session = who.open(number)
        code = who.rv("C_Login", session, CKU.USER, PIN)
        concerned = number == 0 and who is program
        assert code is (CKR.DEVICE_ERROR if concerned else CKR.OK)
        assert fired(plan) == concerned
        who.C_CloseSession(session)


def test_power_cut_by_a_card_is_a_card_pulled_out(keyring: Keyring, plan: FaultPlan) -> None:
    """The PIN's try is spent before it is compared, and is not given back."""
    slots = keyring._slots
    seen: list[Any] = []
    card = Card(
        chip_of(keyring), slots.epoch, lambda exchange, *_: seen.append(exchange), slots=slots
    )
    piv = PivProgram(card)
    arm(plan, store="commit", at=2, program="card", power="off")
    assert piv.send(0x20, 0, 0x80, PIN + b"\xff\xff") == (b"", 0x6F00)
    assert (fired(plan), seen[-1].fault, seen[-1].sw) == (1, "fault", 0x6F00)
    assert not keyring.list()[0].plugged
    keyring.plug("key")
    record = chip_of(keyring).pin(Role.USER)
    assert record is not None
    assert record.tries_left == record.tries - 1
    assert state(keyring)[0]


def test_what_the_rack_does_by_itself_meets_nothing(keyring: Keyring, plan: FaultPlan) -> None:
    arm(plan, store="write", power="off")
    keyring.new(name="two", label="two")
    keyring.snapshot("key")
    keyring.rewind("key")
    keyring.reset("key")
    assert fired(plan) == 0


def test_a_pair_is_kept_whole_or_not_at_all(
    keyring: Keyring, plan: FaultPlan, program: Program
) -> None:
    session = program.open(user=CKU.USER)
    arm(plan, store="write-object", at=2, power="off")
    mechanism = Mechanism(CKM.EC_KEY_PAIR_GEN, None)
    public = attributes(EC_PARAMS=bytes.fromhex("06082a8648ce3d030107"), TOKEN=True)
    private = attributes(TOKEN=True)
    code = program.rv("C_GenerateKeyPair", session, mechanism, public, private, True, True)
    assert (code, fired(plan)) == (CKR.DEVICE_REMOVED, 1)
    keyring.plug("key")
    session = program.open(user=CKU.USER)
    assert program.find(session) == []

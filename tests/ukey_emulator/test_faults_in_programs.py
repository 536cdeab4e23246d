"""Faults in programs that run already, through the module: nothing is answered from memory."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from ctypes import byref, c_ubyte, c_ulong
from pathlib import Path
from typing import Any

import module_host as host
import pytest
from module_host import OK, attributes, mechanism
from rack_watch import within
from recalling import World, data_object, label, length

from ukey_emulator import module_path
from ukey_emulator.card.faults import COMMAND_WORDS
from ukey_emulator.cryptoki.faults import FUNCTION_WORDS
from ukey_emulator.faults import FaultPlan, Words, read
from ukey_emulator.terms import CKM, CKR

WORDS = Words(FUNCTION_WORDS, COMMAND_WORDS)
ERROR = int(CKR.DEVICE_ERROR)
USER, PUBLIC = 3, 2  # states of a session that may write


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("UKEY_HOME", str(tmp_path / "home"))
    made = World(tmp_path / "home", tmp_path)
    yield made
    made.rack.slots.faults.clear()
    made.close()


@pytest.fixture
def plan(world: World) -> FaultPlan:
    return world.rack.slots.faults


def arm(plan: FaultPlan, **members: Any) -> None:
    plan.add(read({"name": "fault", **members}, WORDS))


def ec_key(module: host.Module, session: int) -> int:
    public, private = c_ulong(), c_ulong()
    curve = attributes((0x180, bytes.fromhex("06082a8648ce3d030107")))
    pair = mechanism(int(CKM.EC_KEY_PAIR_GEN))
    made = module.C_GenerateKeyPair(session, pair, curve, 1, None, 0, byref(public), byref(private))
    assert made == OK
    return private.value


def sign(module: host.Module, session: int, key: int, kind: CKM = CKM.ECDSA_SHA256) -> int:
    rv = module.C_SignInit(session, mechanism(int(kind)), key)
    if rv != OK:
        return rv
    room, size = (c_ubyte * 64)(), c_ulong(64)
    return module.C_Sign(session, b"data", 4, room, byref(size))


def state(module: host.Module, session: int) -> tuple[int, int]:
    info = (c_ulong * 4)()
    return module.C_GetSessionInfo(session, info), info[1]


def threaded(work: Callable[[], int]) -> tuple[threading.Thread, list[int]]:
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    return thread, answers


def test_what_a_program_remembers_is_asked_again(world: World, plan: FaultPlan) -> None:
    module, session = world.program()
    obj = data_object(module, session)
    for _ in range(3):
        assert label(module, session, obj) == (OK, b"old")
    assert world.rack.slots.epoch.now
    arm(plan, function="C_GetAttributeValue", **{"return": "CKR_DEVICE_ERROR"})
    assert world.rack.slots.epoch.now == 0
    assert [label(module, session, obj)[0] for _ in range(3)] == [ERROR] * 3
    assert plan.clear()[0].met == 3
    assert world.rack.slots.epoch.now
    assert label(module, session, obj) == (OK, b"old")


def test_signatures_that_were_promised_are_counted_from_the_next_one(
    world: World, plan: FaultPlan
) -> None:
    module, session = world.program()
    key = ec_key(module, session)
    for _ in range(5):  # by now C_SignInit is answered before it is made
        assert sign(module, session, key) == OK
    arm(plan, function="C_SignInit", at=3, **{"return": "CKR_DEVICE_ERROR"})
    assert [sign(module, session, key) for _ in range(4)] == [OK, OK, ERROR, OK]
    plan.clear()
    arm(plan, function="C_Sign", at=2, **{"return": "CKR_DEVICE_ERROR"})
    assert [sign(module, session, key) for _ in range(4)] == [OK, ERROR, OK, OK]


def test_the_length_and_the_signature_are_one_meeting(world: World, plan: FaultPlan) -> None:
    module, session = world.program()
    key = ec_key(module, session)
    arm(plan, function="C_Sign", at=2, **{"return": "CKR_DEVICE_ERROR"})

    def in_two_calls() -> list[int]:
        assert module.C_SignInit(session, mechanism(int(CKM.ECDSA_SHA256)), key) == OK
        asked = length(module, b"data", session)[0]
        room, size = (c_ubyte * 64)(), c_ulong(64)
        return [asked, module.C_Sign(session, b"data", 4, room, byref(size))]

    assert in_two_calls() == [OK, OK]
    assert in_two_calls() == [ERROR, int(CKR.OPERATION_NOT_INITIALIZED)]
    assert in_two_calls() == [OK, OK]


def test_a_mechanism_and_a_process_narrow_a_fault(world: World, plan: FaultPlan) -> None:
    module, session = world.program()
    key = ec_key(module, session)
    arm(plan, function="C_Sign", mechanism="CKM_ECDSA_SHA384", **{"return": "CKR_DEVICE_ERROR"})
    assert sign(module, session, key, CKM.ECDSA_SHA256) == OK
    assert sign(module, session, key, CKM.ECDSA_SHA384) == ERROR
    assert plan.clear()[0].met == 1
    arm(plan, function="C_Sign", pid=os.getpid() + 1, drop=True)
    plan.add(read({"function": "C_Sign", "pid": os.getpid(), "return": "0x80000042"}, WORDS))
    assert sign(module, session, key) == 0x80000042
    assert [info.met for info in plan.clear()] == [0, 1]


def test_a_dropped_connection_is_a_removed_device_and_the_next_call_works(
    world: World, plan: FaultPlan
) -> None:
    module, session = world.program()
    key = ec_key(module, session)
    arm(plan, function="C_Sign", at=1, drop=True)
    assert sign(module, session, key) == CKR.DEVICE_REMOVED
    assert state(module, session) == (OK, USER)
    (told,) = [call for call in world.rack.trace.since(0) if call.get("fault")]
    assert (told["function"], told["rv"]) == ("C_Sign", "CKR_DEVICE_REMOVED")


def test_the_login_is_forgotten_for_all_programs(world: World, plan: FaultPlan) -> None:
    first, session = world.program()
    second, other = world.program()
    key = ec_key(first, session)
    for module, handle in ((first, session), (second, other)):
        assert state(module, handle) == (OK, USER)
    arm(plan, function="C_SignInit", at=1, logout=True)
    assert sign(first, session, key) == CKR.KEY_HANDLE_INVALID
    assert plan.clear()[0].fired == 1
    for module, handle in ((first, session), (second, other)):
        assert state(module, handle) == (OK, PUBLIC)
        assert module.C_Login(handle, 1, b"123456", 6) == OK
        assert state(module, handle) == (OK, USER)


def test_each_of_many_threads_and_programs_counts(world: World, plan: FaultPlan) -> None:
    programs = [world.program() for _ in range(2)]
    arm(plan, function="C_GenerateRandom", at=37, **{"return": "CKR_DEVICE_ERROR"})
    codes: list[int] = []

    def draw(module: host.Module, session: int) -> None:
        room = (c_ubyte * 8)()
        codes.extend(module.C_GenerateRandom(session, room, 8) for _ in range(25))

    threads = [threading.Thread(target=draw, args=program) for program in programs * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(codes) == [OK] * 99 + [ERROR]
    assert plan.list()[0].met == 100


def test_a_hang_ends_when_the_key_is_pulled(world: World, plan: FaultPlan) -> None:
    module, session = world.program()
    arm(plan, function="C_GetSessionInfo", hang=True)
    thread, answers = threaded(lambda: state(module, session)[0])
    assert within(20, lambda: plan.list()[0].waiting == 1)
    world.rack.keys.unplug("key")
    thread.join(20)
    assert answers == [CKR.DEVICE_REMOVED]


def test_a_hang_ends_with_c_finalize(world: World, plan: FaultPlan) -> None:
    module, session = world.program()
    arm(plan, function="C_GetSessionInfo", hang=True)
    thread, answers = threaded(lambda: state(module, session)[0])
    assert within(20, lambda: plan.list()[0].waiting == 1)
    assert module.C_Finalize(None) == OK
    thread.join(20)
    assert answers == [CKR.CRYPTOKI_NOT_INITIALIZED]
    assert within(20, lambda: plan.list()[0].waiting == 0)


def test_a_hang_ends_with_the_rack(world: World, plan: FaultPlan) -> None:
    module, session = world.program()
    arm(plan, function="C_GetSessionInfo", hang=True)
    thread, answers = threaded(lambda: state(module, session)[0])
    assert within(20, lambda: plan.list()[0].waiting == 1)
    world.rack.stop()
    thread.join(20)
    assert len(answers) == 1
    assert not plan.armed


def test_who_waits_for_a_slot_is_woken_by_a_pull(world: World, plan: FaultPlan) -> None:
    module, _ = world.program()
    other, session = world.program()
    event = c_ulong(9)
    thread, answers = threaded(lambda: module.C_WaitForSlotEvent(0, byref(event), None))
    arm(plan, function="C_GetSessionInfo", at=1, pull="before")
    assert state(other, session)[0] == CKR.DEVICE_REMOVED
    thread.join(20)
    assert (answers, event.value) == ([OK], 0)


DYING = """
import sys
import pkcs11
token = next(iter(pkcs11.lib(sys.argv[1]).get_tokens()))
with token.open(user_pin="123456") as session:
    session.generate_random(64)
"""


def test_a_hang_ends_with_its_killed_program(world: World, plan: FaultPlan) -> None:
    arm(plan, function="C_GenerateRandom", hang=True)
    with subprocess.Popen([sys.executable, "-c", DYING, module_path()]) as dying:
        assert within(20, lambda: plan.list()[0].waiting == 1)
        dying.kill()
        assert within(20, lambda: plan.list()[0].waiting == 0)
    (slot,) = world.rack.slots
    assert within(20, lambda: slot.sessions == 0)
    assert slot.chip is not None
    assert within(20, lambda: slot.chip is not None and slot.chip._master is None)


def test_a_fault_at_a_card_leaves_programs_their_memory(world: World, plan: FaultPlan) -> None:
    arm(plan, apdu="VERIFY", hang=True)
    plan.add(read({"store": "commit", "delay": 1}, WORDS))
    assert world.rack.slots.epoch.now

"""Threads and programs that overtake each other inside the rack, each time at a chosen instant.

A test holds the lock that a call is about to take, lets something else happen meanwhile, and then
lets the call go on: what is a matter of microseconds otherwise happens each time.
"""

import itertools
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from program import PIN, ROOM, SO_PIN, Program, attributes

from ukey_emulator.chip import Chip
from ukey_emulator.cryptoki import use
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.cryptoki.wire import Mechanism, Out, Query
from ukey_emulator.rack.control import ControlServer
from ukey_emulator.rack.home import Home
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.rack.requests import Command
from ukey_emulator.slots import Slot
from ukey_emulator.terms import CKA, CKF, CKM, CKO, CKR, CKU

LABEL = b"anew".ljust(32)
RW = CKF.SERIAL_SESSION | CKF.RW_SESSION


class Late:
    """A call in a thread of its own, made while the test holds a lock that it wants."""

    def __init__(self, program: Program, name: str, *arguments: object) -> None:
        self._answers: list[tuple[int, tuple[Any, ...]]] = []
        face, application = program.face, program.application
        self._thread = threading.Thread(
            target=lambda: self._answers.append(face.call(application, name, arguments)),
            daemon=True,
        )
        self._thread.start()
        time.sleep(0.1)  # to come as far as the lock; were it later, the test would show less

    def rv(self) -> CKR:
        return CKR(self.answer()[0])

    def answer(self) -> tuple[int, tuple[Any, ...]]:
        self._thread.join(20)
        assert self._answers, "the call never ended"
        return self._answers[0]


@pytest.fixture
def slot(keyring: Keyring) -> Slot:
    found = keyring._slots.get(0)
    assert found is not None
    return found


@pytest.fixture
def chip(slot: Slot) -> Chip:
    assert slot.chip is not None
    return slot.chip


@pytest.fixture
def _quick_switches() -> Iterator[None]:
    """Let Python's threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def data(**more: object) -> Any:
    return attributes(CLASS=int(CKO.DATA), **more)


def nothing_is_left(chip: Chip, slot: Slot, program: Program) -> bool:
    """Tell whether nobody is logged in, and whether no session keeps C_InitToken away."""
    shut = chip._master is None and not any(chip._users.values())
    program.application.look_for_slots()
    return shut and slot.sessions == 0 and program.rv("C_InitToken", 0, SO_PIN, LABEL) is CKR.OK


# ---- a program that ends while a call of another of its threads is carried out ----


def test_a_session_is_not_opened_for_a_program_that_has_ended(
    face: Face, program: Program, other_program: Program, chip: Chip, slot: Slot
) -> None:
    with program.application.lock:
        late = Late(program, "C_OpenSession", 0, RW, True)
        face.detach(program.application)
    assert late.rv() is CKR.CRYPTOKI_NOT_INITIALIZED
    assert nothing_is_left(chip, slot, other_program)


@pytest.mark.parametrize("name", ["C_Login", "C_LoginUser"])
@pytest.mark.parametrize("end", ["the program ends", "its sessions are closed"])
def test_nobody_is_logged_in_without_a_session(
    program: Program, other_program: Program, chip: Chip, slot: Slot, name: str, end: str
) -> None:
    session = program.open()
    more = () if name == "C_Login" else (None,)
    with program.application.lock:
        late = Late(program, name, session, CKU.USER, PIN, *more)
        if end == "the program ends":
            program.face.detach(program.application)
        else:
            program.C_CloseAllSessions(0)
    assert late.rv() is CKR.SESSION_CLOSED
    if end != "the program ends":
        session = program.open()
        assert program.rv("C_Logout", session) is CKR.USER_NOT_LOGGED_IN
        program.C_CloseSession(session)
    assert nothing_is_left(chip, slot, other_program)


def test_a_session_object_does_not_outlive_its_session(program: Program) -> None:
    session = program.open()
    with program.application.lock:
        late = Late(program, "C_CreateObject", session, data(LABEL="late"), True)
        program.C_CloseAllSessions(0)
    assert late.rv() is CKR.SESSION_CLOSED
    assert program.find(program.open(), LABEL="late") == []


def test_a_session_is_closed_once(program: Program) -> None:
    session = program.open()
    program.open()
    with program.application.lock:
        closing = [Late(program, "C_CloseSession", session) for _ in range(3)]
    rvs = [late.rv() for late in closing]
    assert rvs.count(CKR.OK) == 1
    assert set(rvs) <= {CKR.OK, CKR.SESSION_CLOSED}


def test_an_object_is_destroyed_once(program: Program) -> None:
    sessions = [program.open() for _ in range(3)]
    obj = program.C_CreateObject(sessions[0], data(), True)
    with program.application.lock:
        destroying = [Late(program, "C_DestroyObject", session, obj) for session in sessions]
    rvs = [late.rv() for late in destroying]
    assert rvs.count(CKR.OK) == 1
    assert set(rvs) <= {CKR.OK, CKR.OBJECT_HANDLE_INVALID}


# ---- objects that are destroyed while somebody holds their handle ----


def test_the_handle_of_a_destroyed_object_never_means_another_one(
    program: Program, other_program: Program
) -> None:
    session, other = program.open(), other_program.open()
    program.C_CreateObject(session, data(LABEL="old", TOKEN=True), True)
    (old,) = other_program.find(other, LABEL="old")
    (mine,) = program.find(session, LABEL="old")
    program.C_DestroyObject(session, mine)
    new = program.C_CreateObject(session, data(LABEL="new", TOKEN=True), True)
    for name, more in (
        ("C_GetAttributeValue", [Query(CKA.LABEL, 10, None)]),
        ("C_SetAttributeValue", attributes(LABEL="changed")),
    ):
        assert other_program.rv(name, other, old, more) is CKR.OBJECT_HANDLE_INVALID
    assert other_program.rv("C_DestroyObject", other, old) is CKR.OBJECT_HANDLE_INVALID
    assert program.read(session, new, CKA.LABEL) == b"new"
    assert len(other_program.find(other, LABEL="new")) == 1


@pytest.mark.parametrize("name", ["C_SetAttributeValue", "C_DestroyObject"])
def test_an_object_that_was_destroyed_meanwhile_does_not_come_back(
    program: Program, other_program: Program, chip: Chip, keyring: Keyring, name: str
) -> None:
    session, other = program.open(), other_program.open()
    obj = program.C_CreateObject(session, data(LABEL="object", TOKEN=True), True)
    (same,) = other_program.find(other, LABEL="object")
    more = (attributes(LABEL="changed"),) if name == "C_SetAttributeValue" else ()
    with chip._lock:
        late = Late(program, name, session, obj, *more)
        other_program.C_DestroyObject(other, same)
        kept = other_program.C_CreateObject(other, data(LABEL="kept", TOKEN=True), True)
    assert late.rv() is CKR.OBJECT_HANDLE_INVALID
    assert other_program.read(other, kept, CKA.LABEL) == b"kept"
    keyring.unplug("key")
    keyring.plug("key")
    session = program.open()
    assert [program.read(session, found, CKA.LABEL) for found in program.find(session)] == [b"kept"]


def test_a_search_that_a_logout_overtakes_gives_no_private_object(
    program: Program, other_program: Program
) -> None:
    other_program.open(user=CKU.USER)  # so that the key stays open
    session, second = program.open(user=CKU.USER), program.open()
    program.C_CreateObject(session, data(LABEL="mine", TOKEN=True, PRIVATE=True), True)
    program.C_Logout(session)
    program.C_Login(session, CKU.USER, PIN)
    with program.application.lock:
        late = Late(program, "C_FindObjectsInit", session, attributes(LABEL="mine"))
        program.C_Logout(second)
    late.rv()
    for found in program.C_FindObjects(session, Out(asked=True, capacity=9)):
        query = [Query(CKA.LABEL, 10, None)]
        rv = program.rv("C_GetAttributeValue", session, found, query)
        assert rv is CKR.OBJECT_HANDLE_INVALID


def test_handles_of_what_others_have_destroyed_do_not_pile_up(
    program: Program, other_program: Program
) -> None:
    session, other = program.open(), other_program.open()
    kept = program.C_CreateObject(session, data(LABEL="kept", TOKEN=True), True)
    for _ in range(1000):
        made = program.C_CreateObject(session, data(LABEL="passing", TOKEN=True), True)
        assert len(other_program.find(other, LABEL="passing")) == 1
        program.C_DestroyObject(session, made)
        counters = other_program.find(other, CLASS=int(CKO.HW_FEATURE))
        assert len(counters) == 1
    assert len(other_program.application._by_handle) < 200
    assert len(program.application._by_handle) < 200
    assert program.read(session, kept, CKA.LABEL) == b"kept"


def test_a_call_that_a_pull_overtakes_is_told_so(
    program: Program, chip: Chip, keyring: Keyring
) -> None:
    session, second = program.open(), program.open()
    with chip._lock:
        creating = Late(program, "C_CreateObject", session, data(TOKEN=True), True)
        entering = Late(program, "C_Login", second, CKU.USER, PIN)
        keyring.unplug("key")
    assert (creating.rv(), entering.rv()) == (CKR.DEVICE_REMOVED, CKR.DEVICE_REMOVED)
    keyring.plug("key")
    session = program.open()
    assert program.find(session) == []
    assert program.rv("C_Logout", session) is CKR.USER_NOT_LOGGED_IN


# ---- C_InitToken and sessions ----


def test_a_session_waits_for_the_end_of_an_initialisation(
    program: Program, other_program: Program, chip: Chip
) -> None:
    with chip._lock:
        initialising = Late(program, "C_InitToken", 0, SO_PIN, LABEL)
        opening = Late(other_program, "C_OpenSession", 0, RW, True)
        assert not opening._answers
    assert (initialising.rv(), opening.rv()) == (CKR.OK, CKR.OK)


def test_the_login_ends_before_the_session_is_counted_as_closed(
    program: Program, other_program: Program, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the key could be initialised in between, and its count of logins be wrong for ever."""
    rvs = []
    count = Slot.count

    def count_and_initialise(self: Slot, *arguments: Any) -> None:
        count(self, *arguments)
        if not self.sessions:
            monkeypatch.setattr(Slot, "count", count)
            rvs.append(other_program.rv("C_InitToken", 0, SO_PIN, LABEL))

    session = program.open(user=CKU.USER)
    monkeypatch.setattr(Slot, "count", count_and_initialise)
    program.C_CloseSession(session)
    assert rvs == [CKR.OK]
    session = program.open(user=CKU.SO)
    program.C_InitPIN(session, PIN)
    program.C_Logout(session)
    program.C_Login(session, CKU.USER, PIN)
    program.C_CreateObject(session, data(LABEL="mine", TOKEN=True, PRIVATE=True), True)
    program.C_CloseSession(session)
    assert slot.chip is not None
    assert slot.chip._master is None
    session = program.open(user=CKU.USER)
    assert len(program.find(session, LABEL="mine")) == 1


def test_sessions_end_when_the_key_is_pulled(
    program: Program, other_program: Program, keyring: Keyring
) -> None:
    program.open(user=CKU.USER)  # and never calls again
    keyring.unplug("key")
    keyring.plug("key")
    assert other_program.rv("C_InitToken", 0, SO_PIN, LABEL) is CKR.OK


# ---- waiting ----


def change_in_between(program: Program, change: Callable[[], object]) -> CKR:
    """Wait for an event that comes after the look and before the sleep; give the code."""
    application = program.application
    look = application.next_event

    def look_and_change() -> int | None:
        number = look()
        application.next_event = look  # type: ignore[method-assign]
        change()
        return number

    application.next_event = look_and_change  # type: ignore[method-assign]
    return Late(program, "C_WaitForSlotEvent", 0, True, False).rv()


def test_an_event_just_before_the_sleep_is_not_missed(program: Program, keyring: Keyring) -> None:
    assert change_in_between(program, lambda: keyring.unplug("key")) is CKR.OK


def test_an_end_just_before_the_sleep_is_not_missed(program: Program, face: Face) -> None:
    ended = change_in_between(program, lambda: face.detach(program.application))
    assert ended is CKR.CRYPTOKI_NOT_INITIALIZED


def test_a_handle_from_before_the_end_is_none_afterwards(face: Face, program: Program) -> None:
    session = program.open()
    obj = program.C_CreateObject(session, data(), True)
    face.detach(program.application)
    again = Program(face)
    mine = again.open()
    again.C_CreateObject(mine, data(), True)
    assert again.rv("C_GetSessionInfo", session, True) is CKR.SESSION_HANDLE_INVALID
    assert again.rv("C_GetObjectSize", mine, obj, True) is CKR.OBJECT_HANDLE_INVALID


def test_the_control_port_outlives_a_thread_that_cannot_be_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Home(tmp_path / "home")
    server = ControlServer(place, {"greet": Command(lambda: "welcome")})
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        monkeypatch.setattr(threading.Thread, "start", start)
        raise RuntimeError(f"can't start new thread {thread.name}")

    def ask() -> bytes:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(str(tmp_path / "home" / "control.sock"))
            try:
                line.sendall(b'{"version": 1, "command": "greet"}\n')
                return line.recv(1000)
            except ConnectionError:  # hung up on before or after it has asked
                return b""

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert ask() == b""
    assert b"welcome" in ask()
    server.stop()
    place.close("control.sock")


# ---- many threads at once, without a lock of the test's ----


@pytest.mark.usefixtures("_quick_switches")
def test_attributes_that_are_changed_together_are_read_together(
    program: Program, other_program: Program
) -> None:
    session, other = program.open(), other_program.open()
    obj = program.C_CreateObject(session, data(LABEL="0", VALUE=b"0", TOKEN=True), True)
    (same,) = other_program.find(other, LABEL="0")
    stop = threading.Event()

    def change() -> None:
        for number in itertools.count(1):
            if stop.is_set():
                return
            both = attributes(LABEL=str(number), VALUE=str(number).encode())
            program.C_SetAttributeValue(session, obj, both)

    changing = threading.Thread(target=change)
    changing.start()
    query = [Query(kind, 20, None) for kind in (CKA.LABEL, CKA.VALUE) * 10]
    read: list[set[bytes]] = []
    versions: set[bytes] = set()
    end = time.monotonic() + 20
    while (len(read) < 300 or len(versions) < 30) and time.monotonic() < end:
        read.append({value for _, value in other_program.C_GetAttributeValue(other, same, query)})
        versions |= read[-1]
    stop.set()
    changing.join(20)
    assert [together for together in read if len(together) > 1] == []
    assert len(versions) > 1


@pytest.mark.usefixtures("_quick_switches")
def test_threads_in_shared_and_own_sessions(program: Program) -> None:
    """A logout ends what other threads do with private objects; none of them meets a fault."""
    shared = program.open(user=CKU.USER)
    _, private = program.ec_pair(shared, TOKEN=True, PRIVATE=True, SIGN=True)
    codes: set[CKR] = set()
    faults: list[Exception] = []
    stop = threading.Event()
    digest, ecdsa = Mechanism(CKM.SHA256, None), Mechanism(CKM.ECDSA, None)
    room = Out(asked=True, capacity=100)

    def work(session: int) -> None:
        try:
            use(session)
        except Exception as fault:  # noqa: BLE001 - of whatever kind, it is the rack's
            faults.append(fault)

    def use(session: int) -> None:
        mine = [private]
        while not stop.is_set():
            codes.add(program.rv("C_DigestInit", session, digest))
            codes.add(program.rv("C_Digest", session, b"data", room))
            codes.add(program.rv("C_SignInit", session, ecdsa, mine[0]))
            codes.add(program.rv("C_Sign", session, bytes(32), room))
            codes.add(program.rv("C_FindObjectsInit", session, []))
            rv, found = program.face.call(program.application, "C_FindObjects", (session, room))
            mine = list(found[0])[:1] if rv == CKR.OK and found[0] else mine
            codes.add(program.rv("C_FindObjectsFinal", session))

    sessions = [shared, shared, *(program.open() for _ in range(4))]
    threads = [threading.Thread(target=work, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 1.5
    outer = set()
    while time.monotonic() < end:
        outer.add(program.rv("C_Logout", sessions[-1]))
        outer.add(program.rv("C_Login", sessions[-1], CKU.USER, PIN))
    stop.set()
    for thread in threads:
        thread.join(20)
    assert faults == []
    assert outer == {CKR.OK}
    assert codes <= {
        CKR.OK,
        CKR.OPERATION_ACTIVE,
        CKR.OPERATION_NOT_INITIALIZED,
        CKR.KEY_HANDLE_INVALID,
        CKR.KEY_TYPE_INCONSISTENT,
        CKR.KEY_FUNCTION_NOT_PERMITTED,
        CKR.USER_NOT_LOGGED_IN,
    }


def test_a_logout_leaves_no_operation_that_was_just_beginning(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = program.open(user=CKU.USER)
    _, key = program.ec_pair(session, PRIVATE=True)
    given = use.key_for

    def overtaken(*words: Any) -> Any:
        found = given(*words)
        program.C_Logout(session)
        return found

    monkeypatch.setattr(use, "key_for", overtaken)
    mechanism = Mechanism(CKM.ECDSA, None)
    assert program.rv("C_SignInit", session, mechanism, key) == CKR.USER_NOT_LOGGED_IN
    assert program.rv("C_Sign", session, bytes(32), ROOM) == CKR.OPERATION_NOT_INITIALIZED

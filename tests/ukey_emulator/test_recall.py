"""What the module answers from memory: no more than what the rack would answer at that moment."""

import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from ctypes import byref, c_ulong
from pathlib import Path
from typing import Any

import module_host as host
import pytest
from module_host import OK, attributes, mechanism
from recalling import KEY, RSA, S, Side, World, data_object, find, label, length

from ukey_emulator.chip import Chip
from ukey_emulator.cryptoki.application import Application
from ukey_emulator.cryptoki.session import Session
from ukey_emulator.terms import CKA, CKM, CKO, CKR


@pytest.fixture
def side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Side]:
    monkeypatch.setenv("UKEY_HOME", str(tmp_path))
    made = Side(tmp_path)
    yield made
    made.close()


@pytest.fixture
def module(side: Side, tmp_path: Path) -> Iterator[host.Module]:
    assert side.server  # it must be there first
    loaded = host.Module(tmp_path)
    assert loaded.C_Initialize(None) == OK
    yield loaded
    loaded.C_Finalize(None)


def test_the_same_question_crosses_once(side: Side, module: host.Module) -> None:
    for _ in range(5):
        assert label(module) == (OK, b"label")
    assert side.count("C_GetAttributeValue") == 1
    assert label(module, obj=4) == label(module, session=8) == label(module, room=21)
    assert side.count("C_GetAttributeValue") == 4
    assert side.told == ["C_GetAttributeValue"] * 4


def test_what_was_answered_in_the_program_is_told_at_the_end(
    side: Side, module: host.Module
) -> None:
    def ask() -> None:
        for _ in range(3):
            label(module)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(20)
    ask()
    module.C_Finalize(None)
    side.server.stop()  # it has read everything
    assert side.told == ["C_GetAttributeValue"] * 4


def test_nothing_is_still_to_be_told_when_the_end_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note(_app: Any, name: str, _payload: bytes, _seconds: float) -> None:
        time.sleep(0.05)
        told.append(name)

    monkeypatch.setenv("UKEY_HOME", str(tmp_path))
    told: list[str] = []
    side = Side(tmp_path, note)
    module = host.Module(tmp_path)
    assert module.C_Initialize(None) == OK
    for _ in range(3):
        label(module)
    assert module.C_Finalize(None) == OK
    assert told == ["C_GetAttributeValue"] * 2
    side.close()


def test_another_epoch_is_asked_again(side: Side, module: host.Module) -> None:
    label(module)
    side.face.answers["C_GetAttributeValue"] = (OK, ([(4, b"anew")],))
    side.epoch.advance()
    assert label(module) == (OK, b"anew")


def test_only_what_went_well_is_kept(side: Side, module: host.Module) -> None:
    side.face.answers["C_GetAttributeValue"] = (host.DEVICE_ERROR, ())
    assert label(module)[0] == label(module)[0] == host.DEVICE_ERROR
    assert side.count("C_GetAttributeValue") == 2


def test_long_answers_are_not_kept_and_come_whole(side: Side, module: host.Module) -> None:
    value = bytes(range(256)) * 16
    side.face.answers["C_GetAttributeValue"] = (OK, ([(len(value), value)],))
    assert label(module, room=5000) == label(module, room=5000) == (OK, value)
    assert side.count("C_GetAttributeValue") == 2


def test_more_questions_than_are_kept(side: Side, module: host.Module) -> None:
    side.face.answers["C_GetAttributeValue"] = lambda _s, obj, _q: (OK, ([(1, bytes([obj]))],))
    for _ in range(3):
        for obj in range(200):
            assert label(module, obj=obj) == (OK, bytes([obj]))


@pytest.mark.parametrize("end", ["finalize", "stop"])
def test_nothing_is_answered_after_the_end(side: Side, module: host.Module, end: str) -> None:
    label(module)
    if end == "stop":
        side.server.stop()
        assert label(module)[0] in {host.DEVICE_REMOVED, host.SESSION_HANDLE_INVALID}
    else:
        assert module.C_Finalize(None) == OK
        assert label(module)[0] == host.NOT_INITIALIZED
        assert module.C_Initialize(None) == OK
        label(module)
        assert side.count("C_GetAttributeValue") == 2


def test_the_length_of_a_signature_is_asked_once_for_a_key(side: Side, module: host.Module) -> None:
    for data in (b"data", b"atad", b"tada"):
        assert module.C_SignInit(S, mechanism(RSA), KEY) == OK
        assert length(module, data) == (OK, 256)
    assert side.count("C_Sign") == 1
    assert side.count("C_SignInit") == 3


@pytest.mark.parametrize(
    "between",
    [
        lambda module: module.C_SignInit(S, mechanism(RSA), KEY + 1),
        lambda module: module.C_SignInit(S, mechanism(RSA + 1), KEY),
        lambda module: module.C_SignInit(S + 1, mechanism(RSA), KEY),
        lambda module: module.C_SignUpdate(S, b"part", 4),
        lambda module: module.C_VerifyInit(S, mechanism(RSA), KEY),
        lambda module: module.C_EncryptInit(S, mechanism(RSA), KEY),
        lambda module: module.C_Sign(S, b"data", 4, bytes(256), byref(c_ulong(1))),
        lambda module: module.C_Logout(S),
    ],
)
def test_the_length_is_asked_again_when_something_came_between(
    side: Side, module: host.Module, between: Callable[[host.Module], int]
) -> None:
    for _ in range(2):
        module.C_SignInit(S, mechanism(RSA), KEY)
        length(module)
    asked = side.count("C_Sign")
    module.C_SignInit(S, mechanism(RSA), KEY)
    between(module)
    asked_between = side.count("C_Sign") - asked
    length(module)
    assert side.count("C_Sign") == asked + asked_between + 1


def test_the_length_is_asked_again_for_other_data_and_after_a_failed_beginning(
    side: Side, module: host.Module
) -> None:
    module.C_SignInit(S, mechanism(RSA), KEY)
    length(module)
    length(module, b"longer data")
    assert side.count("C_Sign") == 2
    side.face.answers["C_SignInit"] = (int(CKR.OPERATION_ACTIVE), ())
    module.C_SignInit(S, mechanism(RSA), KEY)
    length(module, b"longer data")
    assert side.count("C_Sign") == 3


# With the real face.


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("UKEY_HOME", str(tmp_path / "home"))
    made = World(tmp_path / "home", tmp_path)
    yield made
    made.close()


def test_a_change_by_another_program_is_seen_at_once(world: World) -> None:
    (one, s1), (two, s2) = world.program(), world.program()
    mine = data_object(one, s1)
    theirs = find(two, s2)
    for number in range(50):
        assert label(one, s1, mine) == label(one, s1, mine)
        new = f"label {number}".encode()
        assert two.C_SetAttributeValue(s2, theirs, attributes((int(CKA.LABEL), new)), 1) == OK
        assert label(one, s1, mine) == (OK, new)
    assert two.C_DestroyObject(s2, theirs) == OK
    assert label(one, s1, mine)[0] == CKR.OBJECT_HANDLE_INVALID


def test_a_logout_and_a_pulled_key_end_what_was_known(world: World) -> None:
    module, session = world.program()
    hidden, open_ = data_object(module, session, private=True), data_object(module, session)
    for obj in (hidden, open_, hidden, open_):
        assert label(module, session, obj) == (OK, b"old")
    assert module.C_Logout(session) == OK
    assert label(module, session, hidden)[0] == CKR.OBJECT_HANDLE_INVALID
    assert label(module, session, open_) == label(module, session, open_) == (OK, b"old")
    world.rack.keys.unplug("key")
    assert label(module, session, open_)[0] == CKR.DEVICE_REMOVED
    assert label(module, session, open_)[0] == CKR.SESSION_HANDLE_INVALID


def test_a_session_that_another_thread_used_is_asked_again(world: World) -> None:
    module, session = world.program()
    sha256 = mechanism(int(CKM.SHA256))
    found = c_ulong()

    def digest(room: Any) -> int:
        return module.C_Digest(session, b"data", 4, room, byref(found))

    def elsewhere(work: Callable[[], int]) -> int:
        results: list[int] = []
        thread = threading.Thread(target=lambda: results.append(work()))
        thread.start()
        thread.join(20)
        return results[0]

    for _ in range(3):
        assert module.C_DigestInit(session, sha256) == OK
        assert digest(None) == OK
        assert elsewhere(lambda: digest(ctypes.create_string_buffer(32))) == OK
        assert digest(None) == CKR.OPERATION_NOT_INITIALIZED


def test_calls_answered_in_the_program_stand_in_the_trace(world: World) -> None:
    module, session = world.program()
    obj = data_object(module, session)
    for _ in range(3):
        label(module, session, obj)
    find(module, session)
    told = [
        (call["arguments"]["object"], call["arguments"]["attributes"], call["rv"])
        for call in world.rack.trace.since(0)
        if call["function"] == "C_GetAttributeValue"
    ]
    assert told == [(obj, ["CKA_LABEL"], "CKR_OK")] * 3


def test_the_tries_that_are_left_are_told_anew(world: World) -> None:
    module, session = world.program()
    template, found = (
        attributes((int(CKA.CLASS), int(CKO.HW_FEATURE).to_bytes(8, "little"))),
        c_ulong(),
    )

    def find_feature() -> int:
        assert module.C_FindObjectsInit(session, template, 1) == OK
        assert module.C_FindObjects(session, byref(found), 1, byref(c_ulong())) == OK
        assert module.C_FindObjectsFinal(session) == OK
        return found.value

    def tries_left() -> int:
        buffer = c_ulong()
        assert (
            module.C_GetAttributeValue(session, found, attributes((0x80554B01, (buffer, 8))), 1)
            == OK
        )
        return buffer.value

    assert module.C_Logout(session) == OK
    feature = find_feature()
    assert tries_left() == tries_left() == 10
    for left in (9, 8):
        assert module.C_Login(session, 1, b"wrong!", 6) == CKR.PIN_INCORRECT
        assert tries_left() == left
        assert find_feature() == feature
        assert tries_left() == left


def test_a_change_that_is_half_made_ends_what_was_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one, s1), (two, s2) = world.program(), world.program()
    mine = data_object(one, s1)
    theirs = find(two, s2)
    known, made, seen = threading.Event(), threading.Event(), threading.Event()
    labels: list[tuple[int, Any]] = []

    def ask() -> None:
        labels.extend(label(one, s1, mine) for _ in range(2))
        known.set()
        assert made.wait(20)
        labels.extend((label(one, s1, mine, room=21), label(one, s1, mine)))
        seen.set()

    change = Chip.change

    def slowly(*arguments: Any, **named: Any) -> None:
        change(*arguments, **named)
        made.set()
        assert seen.wait(20)

    monkeypatch.setattr(Chip, "change", slowly)
    asker = threading.Thread(target=ask)
    asker.start()
    assert known.wait(20)
    assert two.C_SetAttributeValue(s2, theirs, attributes((int(CKA.LABEL), b"new")), 1) == OK
    asker.join(20)
    assert labels == [(OK, b"old"), (OK, b"old"), (OK, b"new"), (OK, b"new")]


def test_a_change_that_fails_in_the_rack_ends_what_was_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, session = world.program()
    obj = data_object(module, session)
    assert label(module, session, obj) == (OK, b"old")
    change = Chip.change

    def fail(*arguments: Any, **named: Any) -> None:
        change(*arguments, **named)
        raise RuntimeError

    monkeypatch.setattr(Chip, "change", fail)
    new = attributes((int(CKA.LABEL), b"new"))
    assert module.C_SetAttributeValue(session, obj, new, 1) == CKR.GENERAL_ERROR
    assert label(module, session, obj) == (OK, b"new")


class Gate:
    """A session's lock that keeps one call waiting in front of it."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self.shut, self.reached, self.opened = (threading.Event() for _ in range(3))

    def __enter__(self) -> None:
        if self.shut.is_set():
            self.shut.clear()
            self.reached.set()
            assert self.opened.wait(20)
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_another_thread_s_call_counts_when_it_is_carried_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_session = Application.open_session
    gates: list[Gate] = []

    def gated(*arguments: Any, **named: Any) -> Session:
        session = open_session(*arguments, **named)
        gates.append(Gate(session.lock))
        session.lock = gates[0]  # type: ignore[assignment]
        return session

    monkeypatch.setattr(Application, "open_session", gated)
    module, session = world.program()
    (gate,) = gates
    found = c_ulong(32)
    sha256 = mechanism(int(CKM.SHA256))

    def digest(room: Any) -> int:
        return module.C_Digest(session, b"data", 4, room, byref(found))

    def whole() -> None:
        assert module.C_DigestInit(session, sha256) == OK
        assert digest(None) == OK
        assert digest(ctypes.create_string_buffer(32)) == OK

    whole()
    gate.shut.set()
    results: list[int] = []
    other = threading.Thread(target=lambda: results.append(digest(ctypes.create_string_buffer(32))))
    other.start()
    assert gate.reached.wait(20)
    whole()
    whole()
    assert module.C_DigestInit(session, sha256) == OK
    gate.opened.set()
    other.join(20)
    assert results == [OK]
    assert digest(None) == CKR.OPERATION_NOT_INITIALIZED


def test_the_trace_keeps_no_data_of_calls_answered_in_the_program(world: World) -> None:
    module, session = world.program()
    found = c_ulong()
    for _ in range(2):
        assert module.C_DigestInit(session, mechanism(int(CKM.SHA256))) == OK
        assert module.C_Digest(session, b"confidential", 12, None, byref(found)) == OK
        assert module.C_DigestInit(session, None) == OK
    assert module.C_GetSessionInfo(session, ctypes.create_string_buffer(32)) == OK
    assert "confidential" not in repr(vars(world.rack.trace))
    told = [call for call in world.rack.trace.since(0) if call["function"] == "C_Digest"]
    assert [call["arguments"]["data"] for call in told] == ["12 bytes"] * 2

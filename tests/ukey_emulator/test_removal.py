"""Keys that are pulled out in the middle: each function, before, in and after its work."""

import shutil
import threading
from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from dying_program import BY_NAME, Stage, Wire
from program import PIN, ROOM, Program, attributes
from rack_watch import within

from ukey_emulator.cryptoki import face as face_module
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.cryptoki.wire import Mechanism, Out
from ukey_emulator.rack.home import Home
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.rack.server import SOCKET_NAME, ModuleServer
from ukey_emulator.slots import Slots
from ukey_emulator.terms import CKF, CKM, CKO, CKR, CKU

OF_SESSIONS = [
    function.name
    for function in BY_NAME.values()
    if function.arguments and function.arguments[0].kind == "SESSION" and not function.local
]
OF_TOKENS = [
    "C_GetTokenInfo",
    "C_GetMechanismList",
    "C_GetMechanismInfo",
    "C_InitToken",
    "C_OpenSession",
]
SHA256 = Mechanism(CKM.SHA256, None)


@pytest.fixture(scope="module")
def with_a_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the file of a key with an RSA pair on it, made once."""
    folder = tmp_path_factory.mktemp("made") / "keys"
    ring = Keyring(folder, Slots())
    ring.new(name="key")
    program = Program(Face(ring._slots, lambda *_: None))
    session = program.open(user=CKU.USER)
    may = dict.fromkeys(("VERIFY", "ENCRYPT", "VERIFY_RECOVER", "ENCAPSULATE"), True)
    public = attributes(MODULUS_BITS=1024, TOKEN=True, **may)
    may = dict.fromkeys(("SIGN", "DECRYPT", "SIGN_RECOVER", "DECAPSULATE"), True)
    kind = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN, None)
    program.C_GenerateKeyPair(session, kind, public, attributes(TOKEN=True, **may), True, True)
    ring.close()
    return folder / "key.ukey"


@pytest.fixture
def keyring(with_a_pair: Path, tmp_path: Path) -> Iterator[Keyring]:
    folder = tmp_path / "keys"
    folder.mkdir()
    shutil.copy(with_a_pair, folder)
    ring = Keyring(folder, Slots())
    yield ring
    ring.close()


@pytest.fixture
def served(face: Face, tmp_path: Path) -> Iterator[Path]:
    home = Home(tmp_path / "home")
    server = ModuleServer(home, face)
    server.start()
    yield home.path
    server.stop()
    home.close(SOCKET_NAME)


@pytest.fixture
def stage(served: Path) -> Iterator[Stage]:
    made = Stage(Wire(served))
    yield made
    made.wire.end()


def pulling(
    name: str, moment: str, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> list[object]:
    """Have the key pulled out in a call of a function, before or after its work.

    Gives a list that is not empty once a call has come as far as that.
    """
    function = face_module._FUNCTIONS[name]
    came: list[object] = []

    @wraps(function)
    def pulled(*arguments: Any) -> Any:
        came.append(name)
        if moment == "before its work":
            keyring.unplug("key")
        try:
            return function(*arguments)
        finally:
            keyring.unplug("key")

    monkeypatch.setitem(face_module._FUNCTIONS, name, pulled)
    return came


@pytest.mark.parametrize("moment", ["before its work", "after its work"])
@pytest.mark.parametrize("name", [*OF_SESSIONS, *OF_TOKENS])
def test_a_key_pulled_out_in_a_call_is_what_the_call_answers(
    name: str, moment: str, stage: Stage, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = stage.arguments(name)
    came = pulling(name, moment, keyring, monkeypatch)
    assert stage.wire.call(name, *arguments) == (CKR.DEVICE_REMOVED, ())
    assert came
    monkeypatch.undo()
    keyring.plug("key")
    if name in OF_SESSIONS:
        assert stage.wire.call(name, *arguments) == (CKR.SESSION_HANDLE_INVALID, ())


@pytest.mark.parametrize("name", OF_SESSIONS)
def test_a_call_after_the_key_was_pulled_out_gives_nothing(
    name: str, stage: Stage, keyring: Keyring
) -> None:
    arguments = stage.arguments(name)
    keyring.unplug("key")
    assert stage.wire.call(name, *arguments) == (CKR.DEVICE_REMOVED, ())
    assert stage.wire.call(name, *arguments) == (CKR.SESSION_HANDLE_INVALID, ())
    keyring.plug("key")
    assert stage.wire.call(name, *arguments) == (CKR.SESSION_HANDLE_INVALID, ())


@pytest.mark.parametrize("name", OF_TOKENS)
def test_a_call_to_a_slot_without_its_key(name: str, stage: Stage, keyring: Keyring) -> None:
    arguments = stage.arguments(name)
    keyring.unplug("key")
    for _ in range(2):
        assert stage.wire.call(name, *arguments) == (CKR.TOKEN_NOT_PRESENT, ())


def test_what_was_made_in_a_call_that_a_pull_has_ended(
    stage: Stage, keyring: Keyring, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session object goes with its session, a token object is whole if it is there."""
    wire, session = stage.wire, stage.session
    pulling("C_GenerateKeyPair", "after its work", keyring, monkeypatch)
    kind = Mechanism(CKM.EC_KEY_PAIR_GEN, None)
    curve = attributes(EC_PARAMS=bytes.fromhex("06082a8648ce3d030107"), TOKEN=True, LABEL="new")
    half = attributes(TOKEN=False, LABEL="new")
    made = wire.call("C_GenerateKeyPair", session, kind, curve, half, True, True)
    assert made == (CKR.DEVICE_REMOVED, ())
    keyring.plug("key")
    again = program.open(user=CKU.USER)
    assert len(program.find(again, LABEL="new")) == 1
    assert program.find(again, LABEL="new", CLASS=int(CKO.PRIVATE_KEY)) == []


def test_every_session_is_told_once(
    keyring: Keyring, program: Program, other_program: Program
) -> None:
    """Each that has something under way learns why that has ended."""
    sessions = [(each, each.open()) for each in (program, program, other_program)]
    for each, session in sessions:
        each.C_DigestInit(session, SHA256)
        each.C_DigestUpdate(session, b"first part")
    keyring.unplug("key")
    keyring.plug("key")
    new = program.open()
    for each, session in sessions:
        assert each.rv("C_DigestFinal", session, ROOM) is CKR.DEVICE_REMOVED
        assert each.rv("C_DigestFinal", session, ROOM) is CKR.SESSION_HANDLE_INVALID
    assert program.rv("C_DigestFinal", new, ROOM) is CKR.OPERATION_NOT_INITIALIZED


def test_sessions_that_were_closed_all_are_told_nothing(keyring: Keyring, program: Program) -> None:
    sessions = [program.open() for _ in range(3)]
    keyring.unplug("key")
    assert program.rv("C_GetSessionInfo", sessions[0], True) is CKR.DEVICE_REMOVED
    keyring.plug("key")
    new = program.open()
    program.C_CloseAllSessions(0)
    for session in (*sessions, new):
        assert program.rv("C_GetSessionInfo", session, True) is CKR.SESSION_HANDLE_INVALID


def test_objects_from_before_are_none(keyring: Keyring, program: Program) -> None:
    session = program.open(user=CKU.USER)
    kept = program.C_CreateObject(
        session, attributes(CLASS=int(CKO.DATA), TOKEN=True, LABEL="kept"), True
    )
    passing = program.C_CreateObject(session, attributes(CLASS=int(CKO.DATA), LABEL="p"), True)
    keyring.unplug("key")
    keyring.plug("key")
    again = program.open(user=CKU.USER)
    for handle in (kept, passing):
        assert program.rv("C_GetObjectSize", again, handle, True) is CKR.OBJECT_HANDLE_INVALID
        assert program.rv("C_DestroyObject", again, handle) is CKR.OBJECT_HANDLE_INVALID
    found = program.find(again, CLASS=int(CKO.DATA))
    assert len(found) == 1
    assert not {kept, passing} & set(found)


def test_nobody_is_logged_in_when_the_key_comes_back(keyring: Keyring, program: Program) -> None:
    program.open(user=CKU.USER)
    keyring.unplug("key")
    keyring.plug("key")
    session = program.open()
    assert program.rv("C_Logout", session) is CKR.USER_NOT_LOGGED_IN
    program.C_Login(session, CKU.USER, PIN)


def test_a_saved_state_is_none_on_the_key_that_came_back(
    keyring: Keyring, program: Program
) -> None:
    session = program.open()
    program.C_DigestInit(session, SHA256)
    state = program.C_GetOperationState(session, ROOM)
    keyring.unplug("key")
    keyring.plug("key")
    again = program.open()
    assert program.rv("C_SetOperationState", again, state, 0, 0) is CKR.SAVED_STATE_INVALID


def test_every_wait_is_woken(keyring: Keyring, program: Program, other_program: Program) -> None:
    """Of two threads of a program one is told of an event; each program is told."""
    told: list[tuple[Program, int]] = []

    def wait(each: Program) -> None:
        told.append((each, each.C_WaitForSlotEvent(0, True, False)))

    waiting = [
        threading.Thread(target=wait, args=(each,), daemon=True)
        for each in (program, program, other_program, other_program)
    ]
    for thread in waiting:
        thread.start()
    keyring.unplug("key")
    assert within(20, lambda: len(told) == 2)
    keyring.plug("key")
    for thread in waiting:
        thread.join(20)
    assert sorted((each is program, slot) for each, slot in told) == [
        (False, 0),
        (False, 0),
        (True, 0),
        (True, 0),
    ]
    for each in (program, other_program):
        assert each.rv("C_WaitForSlotEvent", CKF.DONT_BLOCK, True, False) is CKR.NO_EVENT


def test_slots_with_a_key_and_without(keyring: Keyring, program: Program) -> None:
    keyring.new(name="second")
    keyring.unplug("key")
    for wanted, listed in ((False, [0, 1]), (True, [1])):
        program.C_GetSlotList(wanted, Out(asked=True, capacity=None))
        assert program.C_GetSlotList(wanted, Out(asked=True, capacity=9)) == listed
    keyring.plug("key")
    assert program.C_GetSlotList(True, Out(asked=True, capacity=9)) == [0, 1]

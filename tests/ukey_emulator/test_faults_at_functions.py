"""Each fault at each function of PKCS#11, on the wire: what a program is told, what is left."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dying_program import BY_NAME, Stage, Wire
from program import ROOM, Program
from rack_watch import within
from test_concurrency_killed import ASYNC, REFUSED, check_store, make_pair, restore

from ukey_emulator.chip import Role
from ukey_emulator.cryptoki import face
from ukey_emulator.cryptoki.faults import FUNCTION_WORDS
from ukey_emulator.faults import Words, read
from ukey_emulator.rack.home import Home
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.rack.server import SOCKET_NAME, ModuleServer
from ukey_emulator.slots import Slots
from ukey_emulator.terms import CKR

SERVED = sorted(name for name, function in BY_NAME.items() if not function.local)
KEYED = [name for name in SERVED if FUNCTION_WORDS[name].keyed]
WITH_OUTPUT = [name for name in SERVED if FUNCTION_WORDS[name].outputs]
WORDS = Words(FUNCTION_WORDS, {})
WORKS = {CKR.OK, *REFUSED}


class Broken:
    """A rack with one key, a program with a session, and the faults that the test arms."""

    def __init__(self, home: Path, keyring: Keyring, program: Program) -> None:
        self._home = home
        self._program = program
        self.keyring = keyring
        self.plan = keyring._slots.faults
        self._wires: list[Wire] = []

    def stage(self) -> Stage:
        """Begin anew: with a program that has logged in, and no other."""
        self.end()
        self.plan.clear()
        self.keyring.plug("key")
        (slot,) = self.keyring._slots
        assert within(20, lambda: slot.sessions == 0)
        assert slot.chip is not None
        if slot.chip.pin(Role.USER) is None:
            restore(self._program)
        self._wires = [Wire(self._home)]
        return Stage(self._wires[-1])

    def end(self) -> None:
        for wire in self._wires:
            wire.end()

    def arm(self, name: str, **what: Any) -> None:
        self.plan.add(read({"function": name, "name": "fault", **what}, WORDS))

    def fired(self) -> int:
        (info,) = self.plan.clear("fault")
        return info.fired


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    """Run one rack for all: each test begins with a stage of its own."""
    folder = tmp_path_factory.mktemp("rack")
    keyring = Keyring(folder / "keys", Slots(), lasting=False)
    keyring.new(name="key", label="test key")
    program = Program(face.Face(keyring._slots, lambda *_, **__: None))
    make_pair(program)
    home = Home(folder / "home")
    server = ModuleServer(home, program.face)
    server.start()
    made = Broken(home.path, keyring, program)
    yield made
    made.end()
    assert within(20, lambda: not server._door.connections)
    server.stop()
    keyring.close()
    home.close(SOCKET_NAME)


def works(name: str, code: CKR) -> bool:
    return code in WORKS or (name in ASYNC and code is CKR.SESSION_ASYNC_NOT_SUPPORTED)


@pytest.mark.parametrize("name", SERVED)
def test_a_return_value_a_hang_and_a_dropped_connection(name: str, broken: Broken) -> None:
    """A return value comes without output; who hangs goes on; a dropped program lives on."""
    stage = broken.stage()
    arguments = stage.arguments(name)
    broken.arm(name, at=1, **{"return": "CKR_DEVICE_ERROR"})
    assert stage.wire.call(name, *arguments) == (CKR.DEVICE_ERROR, ())
    assert broken.fired() == 1

    if name != "C_WaitForSlotEvent":
        stage = broken.stage()
        arguments = stage.arguments(name)
        broken.arm(name, hang=True)
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(stage.wire.call(name, *arguments)))
        thread.start()
        assert within(20, lambda: broken.plan.list()[0].waiting == 1)
        assert not answers
        assert broken.plan.release("fault") == 1
        thread.join(20)
        assert works(name, answers[0][0])
        assert broken.fired() == 1

    stage = broken.stage()
    arguments = stage.arguments(name)
    broken.arm(name, at=1, drop=True)
    stage.wire.thread.sendall(stage.wire.frame(name, arguments))
    assert stage.wire.thread.recv(1) == b""
    assert broken.fired() == 1


@pytest.mark.parametrize("name", KEYED)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_key_pulled_in_a_call_answers_nothing_more(name: str, when: str, broken: Broken) -> None:
    stage = broken.stage()
    arguments = stage.arguments(name)
    broken.arm(name, at=1, pull=when)
    code, results = stage.wire.call(name, *arguments)
    asks = name == "C_GetSlotInfo"  # is of the slot, which is still there
    assert (code, results == ()) == ((CKR.OK, False) if asks else (CKR.DEVICE_REMOVED, True))
    assert broken.fired() == 1
    assert not broken.keyring.list()[0].plugged
    if name not in {"C_InitToken", "C_CloseSession", "C_CloseAllSessions"}:
        told = CKR.SESSION_HANDLE_INVALID
        if BY_NAME[name].arguments[0].kind != "SESSION":
            told = CKR.DEVICE_REMOVED  # by the first call that has the session
        assert stage.wire.call("C_GetSessionInfo", stage.session, True) == (told, ())
    assert stage.wire.call("C_GetTokenInfo", 0, True) == (CKR.TOKEN_NOT_PRESENT, ())
    broken.keyring.plug("key")
    (slot,) = broken.keyring._slots
    assert slot.chip is not None
    check_store(slot.chip)
    assert slot.sessions == 0
    old = stage.wire.call("C_GetSessionInfo", stage.session, True)
    assert old == (CKR.SESSION_HANDLE_INVALID, ())
    stage.wire.C_OpenSession(0, 6, True)


@pytest.mark.parametrize("name", WITH_OUTPUT)
def test_a_corrupted_output_is_as_long_and_another_one(
    name: str, broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    right: list[Any] = []
    carry_out = face._carry_out

    def spy(*call: Any) -> Any:
        answer = carry_out(*call)
        if call[1] == name:
            right.append(answer)
        return answer

    stage = broken.stage()
    arguments = stage.arguments(name)
    if name == "C_GetSlotList":  # asking for its length alone gives no output
        arguments = True, ROOM
    if name == "C_WaitForSlotEvent":
        broken.keyring.unplug("key")
        broken.keyring.plug("key")
    monkeypatch.setattr(face, "_carry_out", spy)
    broken.arm(name, at=1, corrupt=True)
    code, results = stage.wire.call(name, *arguments)
    assert works(name, code)
    assert broken.fired() == 1
    ((_, expected),) = right
    if code is CKR.OK:
        given = (results,) if len(expected) == 1 else results
        for one, other in zip(given, expected, strict=True):
            assert turned_bits(one, other) == [1] * len(turned_bits(other, other))


def turned_bits(one: Any, other: Any) -> list[int]:
    """Count the bits in which outputs differ, for each that is not empty."""
    match one, other:
        case int(), int():
            return [(one ^ other).bit_count()]
        case bytes(), bytes():
            assert len(one) == len(other)
            return [(int.from_bytes(one) ^ int.from_bytes(other)).bit_count()] if one else []
        case [int(), *_], _:
            return [sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))]
        case list() | tuple(), _:
            pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None]
            values = [(a[1], b[1]) if isinstance(a, tuple) else (a, b) for a, b in pairs]
            return [bits for pair in values for bits in turned_bits(*pair)]
    assert one is None
    assert other is None
    return []

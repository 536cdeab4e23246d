"""Programs that are killed in the middle of each function, at each instant the rack can see."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from dying_program import BY_NAME, Instant, Stage, Wire
from program import PIN, SO_PIN, Program, attributes
from rack_watch import within

from ukey_emulator.chip import Chip
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.cryptoki.wire import Mechanism
from ukey_emulator.rack.home import Home
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.rack.server import SOCKET_NAME, ModuleServer
from ukey_emulator.slots import Slot
from ukey_emulator.terms import CKA, CKM, CKO, CKR, CKU

REACHING = sorted(name for name, function in BY_NAME.items() if not function.local)
# What the calls of the stage answer that have no true data for the function, after all its work.
REFUSED = {
    CKR.SIGNATURE_INVALID,
    CKR.ENCRYPTED_DATA_INVALID,
    CKR.AEAD_DECRYPT_FAILED,
    CKR.WRAPPED_KEY_INVALID,
}
ASYNC = {"C_AsyncComplete", "C_AsyncGetID", "C_AsyncJoin"}


@pytest.fixture
def server(face: Face, tmp_path: Path) -> Iterator[ModuleServer]:
    home = Home(tmp_path / "home")
    server = ModuleServer(home, face)
    server.start()
    yield server
    server.stop()
    home.close(SOCKET_NAME)


@pytest.fixture
def served(server: ModuleServer) -> Path:
    return server._home.path


@pytest.fixture
def slot(keyring: Keyring) -> Slot:
    found = keyring._slots.get(0)
    assert found is not None
    return found


def nobody(slot: Slot) -> bool:
    """Tell whether no session and no login is left."""
    chip = slot.chip
    return chip is not None and not slot.sessions and chip._master is None


def check_store(chip: Chip) -> None:
    """Check that the file is whole and no change is under way."""
    with chip._lock:
        file: sqlite3.Connection = chip._store._file
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert not file.in_transaction


def check_pairs(program: Program, session: int) -> None:
    """No pair has lost a half."""
    halves = []
    for kind in (CKO.PUBLIC_KEY, CKO.PRIVATE_KEY):
        found = program.find(session, CLASS=int(kind))
        halves.append(sorted(program.read(session, half, CKA.MODULUS) for half in found))
    assert halves[0] == halves[1]


def make_pair(program: Program) -> None:
    """Put an RSA pair on the token."""
    session = program.open(user=CKU.USER)
    may = dict.fromkeys(("VERIFY", "ENCRYPT", "VERIFY_RECOVER", "ENCAPSULATE"), True)
    public = attributes(MODULUS_BITS=1024, TOKEN=True, **may)
    may = dict.fromkeys(("SIGN", "DECRYPT", "SIGN_RECOVER", "DECAPSULATE"), True)
    private = attributes(TOKEN=True, **may)
    kind = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN, None)
    program.C_GenerateKeyPair(session, kind, public, private, True, True)
    program.C_CloseSession(session)


def restore(program: Program) -> None:
    """Give a key PIN and pair again that was initialised; one that was not keeps its own."""
    session = program.open()
    if program.rv("C_Login", session, CKU.USER, PIN) is CKR.OK:
        program.C_CloseSession(session)
        return
    program.C_Login(session, CKU.SO, SO_PIN)
    program.C_InitPIN(session, PIN)
    program.C_CloseAllSessions(0)
    make_pair(program)


@pytest.mark.parametrize("name", REACHING)
def test_a_program_killed_in_the_middle_leaves_nothing(
    name: str, server: ModuleServer, program: Program, other_program: Program, slot: Slot
) -> None:
    make_pair(program)
    chip = slot.chip
    assert chip is not None
    witness = 0 if name == "C_InitToken" else other_program.open()
    for instant in Instant:
        stage = Stage(Wire(server._home.path))
        stage.wire.die_in(name, stage.arguments(name), instant)
        assert within(20, lambda: not server._door.connections)  # what it began has come to its end
        assert slot.sessions == (1 if witness else 0)
        assert chip._master is None
        check_store(chip)
        if witness:  # another program goes on, and nobody has logged it in
            assert other_program.rv("C_Logout", witness) is CKR.USER_NOT_LOGGED_IN
            other_program.C_Login(witness, CKU.USER, PIN)
            check_pairs(other_program, witness)
            other_program.C_Logout(witness)
        else:
            restore(program)
    if witness:
        other_program.C_CloseSession(witness)
    assert other_program.rv("C_InitToken", 0, SO_PIN, b"".ljust(32)) is CKR.OK


@pytest.mark.parametrize("name", [name for name in REACHING if name != "C_WaitForSlotEvent"])
def test_the_call_that_is_cut_off_is_one_that_works(
    name: str, served: Path, program: Program
) -> None:
    make_pair(program)
    stage = Stage(Wire(served))
    code, _ = stage.wire.call(name, *stage.arguments(name))
    stage.wire.end()
    assert code in {CKR.OK, *REFUSED} or (name in ASYNC and code is CKR.SESSION_ASYNC_NOT_SUPPORTED)

"""A rack's own keys in its readers."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sides import within
from winscard import CHANGED, EMPTY, PNP, PRESENT, UNAWARE, Connection, Program, outcome
from wire import Wire

from ukey_emulator.rack.rack import Rack
from ukey_emulator.readers.messages import COUNT
from ukey_emulator.readers.terms import SCARD, Command, Share

SELECT = bytes.fromhex("00A4040005A000000308")
STATE = bytes.fromhex("00200080")
RIGHT = STATE + b"\x08" + b"123456\xff\xff"
VERIFIED, TEN_LEFT = b"\x90\x00", b"\x63\xca"


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    with Rack(tmp_path, lasting=False) as made:
        made.keys.new(name="one")
        yield made


@pytest.fixture
def program(rack: Rack) -> Iterator[Program]:
    with Program(rack.path / "pcscd.comm") as made:
        yield made


def connected(program: Program) -> Connection:
    connection = program.connect(program.readers()[0])
    assert connection.transmit(SELECT)[-2:] == b"\x90\x00"
    return connection


def test_a_pin_is_forgotten_with_the_last_disconnect(rack: Rack, program: Program) -> None:
    """PV-45, PV-18: and the chip is closed by then."""
    connection = connected(program)
    assert connection.transmit(STATE) == TEN_LEFT
    assert connection.transmit(RIGHT) == connection.transmit(STATE) == VERIFIED
    (slot,) = rack._slots
    assert slot.chip is not None
    assert slot.chip._master is not None
    connection.disconnect()
    assert within(5, lambda: slot.chip._master is None)
    assert connected(program).transmit(STATE) == TEN_LEFT


def test_a_pin_lasts_to_who_comes_at_once(rack: Rack, program: Program) -> None:
    del rack
    first = connected(program)
    first.transmit(RIGHT)
    first.disconnect()
    second = program.connect(program.readers()[0])
    assert second.transmit(STATE) == VERIFIED
    second.disconnect(1)
    assert connected(program).transmit(STATE) == TEN_LEFT


def test_keys_come_and_go(rack: Rack, program: Program) -> None:
    connection = connected(program)
    reader = connection.status().reader
    assert reader == "ukeylab one 00 00"
    rack.keys.unplug("one")
    assert program.look(reader).flags == EMPTY | CHANGED
    assert outcome(connection.transmit, SELECT) == SCARD.W_REMOVED_CARD
    rack.keys.plug("one")
    assert program.look(reader).flags & PRESENT
    connection.reconnect()
    assert connection.transmit(SELECT)[-2:] == b"\x90\x00"
    rack.keys.new(name="two")
    assert program.readers() == [reader, "ukeylab two 00 00"]
    rack.keys.remove("one")
    assert program.readers() == ["ukeylab two 00 00"]
    assert program.wait((PNP, UNAWARE), ("ukeylab two 00 00", UNAWARE))[1].flags & PRESENT


def test_a_key_for_itself(rack: Rack, program: Program) -> None:
    """What is exclusive among cards is not so for PKCS#11: the chip is one, the faces are two."""
    program.connect(program.readers()[0], Share.EXCLUSIVE)
    assert rack.keys.list()[0].plugged


def test_more_keys_than_old_clients_know_readers(rack: Rack) -> None:
    """Up to 4:5 a client sees the first 16; it reaches the others by name, and 4:6 sees all."""
    for _ in range(299):
        rack.keys.new()
    names = [f"ukeylab {slot.name} 00 00" for slot in rack.slots]
    assert len(names) == 300
    with Program(rack.path / "pcscd.comm") as program:
        assert program.readers() == names[:16]
        assert program.connect(names[-1]).transmit(SELECT)[-2:] == b"\x90\x00"
    with Wire(rack.path / "pcscd.comm", 6) as wire:
        wire.establish()
        assert wire.ask(Command.GET_READERS_STATE_SIZE, answer=COUNT) == (300,)
        wire.send(Command.GET_READERS_STATE_ARRAY)
        assert wire.states(300) == names


def test_run_tells_where_the_readers_are() -> None:
    """A program of pcsc-lite that knows nothing of us finds the keys."""
    ukey = Path(sys.executable).with_name("ukey")
    opensc_tool = shutil.which("opensc-tool")
    assert opensc_tool is not None
    said = subprocess.run(
        [ukey, "run", "--keys", "2", "--", opensc_tool, "-l"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "ukeylab key-1 00 00" in said.stdout
    assert "ukeylab key-2 00 00" in said.stdout

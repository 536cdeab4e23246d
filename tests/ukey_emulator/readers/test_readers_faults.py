"""Faults at commands of a card, seen by a program through libpcsclite."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sides import Waiting, within
from winscard import EMPTY, PRESENT, Connection, Failed, Program, outcome

from ukey_emulator.card.faults import COMMAND_WORDS
from ukey_emulator.faults import FaultPlan, Words, read
from ukey_emulator.rack.rack import Rack
from ukey_emulator.readers.terms import SCARD

SELECT = bytes.fromhex("00A4040005A000000308")
STATE = bytes.fromhex("00200080")
RIGHT = STATE + b"\x08" + b"123456\xff\xff"
VERSION = bytes.fromhex("00FD000000")
SERIAL = bytes.fromhex("00F8000000")
VERIFIED, TEN_LEFT, WRONG = b"\x90\x00", b"\x63\xca", b"\x63\xc9"


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    with Rack(tmp_path, lasting=False) as made:
        made.keys.new(name="one")
        yield made


@pytest.fixture
def plan(rack: Rack) -> FaultPlan:
    return rack.slots.faults


@pytest.fixture
def program(rack: Rack) -> Iterator[Program]:
    with Program(rack.path / "pcscd.comm") as made:
        yield made


@pytest.fixture
def card(program: Program) -> Connection:
    connection = program.connect(program.readers()[0])
    assert connection.transmit(SELECT)[-2:] == b"\x90\x00"
    return connection


def arm(plan: FaultPlan, **members: Any) -> None:
    plan.add(read({"name": "fault", **members}, Words({}, COMMAND_WORDS)))


def fired(plan: FaultPlan) -> int:
    (info,) = plan.clear("fault")
    return info.fired


def code_of(card: Connection, command: bytes) -> int:
    with pytest.raises(Failed) as failed:
        card.transmit(command)
    return failed.value.rv


def test_a_status_word_comes_before_the_work(rack: Rack, plan: FaultPlan, card: Connection) -> None:
    arm(plan, apdu="verify", at=2, status="6985")
    assert card.transmit(STATE) == TEN_LEFT
    wrong = STATE + b"\x08" + b"99999999"
    assert card.transmit(wrong) == b"\x69\x85"
    assert fired(plan) == 1
    assert card.transmit(STATE) == TEN_LEFT  # no try was spent
    assert card.transmit(wrong) == WRONG
    faulty = [call for call in rack.trace.since(0) if call.get("fault")]
    assert [(call["function"], call["rv"], call["fault"]) for call in faulty] == [
        ("VERIFY", "SW_6985", "fault")
    ]


def test_no_memory_a_corrupted_answer_and_a_delay(plan: FaultPlan, card: Connection) -> None:
    version, serial = card.transmit(VERSION), card.transmit(SERIAL)
    arm(plan, apdu="FD", memory=True)
    assert card.transmit(VERSION) == b"\x6a\x84"
    assert fired(plan) == 1
    arm(plan, apdu="GET VERSION", corrupt=True)
    turned = card.transmit(VERSION)
    assert (len(turned), turned[-2:]) == (len(version), b"\x90\x00")
    assert (int.from_bytes(turned) ^ int.from_bytes(version)).bit_count() == 1
    assert card.transmit(SERIAL) == serial
    assert fired(plan) == 1
    arm(plan, apdu="GET VERSION", delay=0.01)
    assert card.transmit(VERSION) == version
    assert fired(plan) == 1


def test_the_login_is_forgotten(plan: FaultPlan, card: Connection) -> None:
    assert card.transmit(RIGHT) == card.transmit(STATE) == VERIFIED
    arm(plan, apdu="GET VERSION", logout=True)
    card.transmit(VERSION)
    assert fired(plan) == 1
    assert card.transmit(STATE) == TEN_LEFT
    assert card.transmit(RIGHT) == card.transmit(STATE) == VERIFIED


def test_a_dropped_command_fails_its_transmission_and_the_card_stays(
    plan: FaultPlan, card: Connection
) -> None:
    arm(plan, apdu="GET VERSION", at=1, drop=True)
    assert code_of(card, VERSION) == SCARD.E_NOT_TRANSACTED
    assert fired(plan) == 1
    assert card.transmit(VERSION)[-2:] == b"\x90\x00"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_card_that_is_pulled_out_in_a_command(
    when: str, rack: Rack, plan: FaultPlan, program: Program, card: Connection
) -> None:
    name = program.readers()[0]
    arm(plan, apdu="VERIFY", at=1, pull=when)
    assert code_of(card, STATE + b"\x08" + b"99999999") == SCARD.E_NOT_TRANSACTED
    assert fired(plan) == 1
    assert within(5, lambda: program.look(name).flags & EMPTY)
    assert outcome(card.status) == SCARD.W_REMOVED_CARD
    rack.keys.plug("one")
    assert within(5, lambda: program.look(name).flags & PRESENT)
    again = program.connect(name)
    again.transmit(SELECT)
    assert again.transmit(STATE) == (TEN_LEFT if when == "before" else WRONG)


def test_the_blocks_of_a_command_are_one_meeting(plan: FaultPlan, card: Connection) -> None:
    """PUT DATA in three blocks, the second time it fails at its end and leaves nothing behind."""
    arm(plan, apdu="PUT DATA", at=2, status="6F00")
    block = bytes(200)
    for expected in (b"\x69\x82", b"\x6f\x00", b"\x69\x82"):
        for _ in range(2):
            assert card.transmit(b"\x10\xdb\x3f\xff\xc8" + block) == b"\x90\x00"
        assert card.transmit(b"\x00\xdb\x3f\xff\xc8" + block)[-2:] == expected
    assert fired(plan) == 1


def test_a_command_that_hangs_goes_on_when_it_is_released(
    rack: Rack, plan: FaultPlan, card: Connection
) -> None:
    arm(plan, apdu="VERIFY", hang=True)
    waiting = Waiting(lambda: card.transmit(STATE))
    assert within(5, lambda: plan.list()[0].waiting == 1)
    assert waiting.waits()
    with Program(rack.path / "pcscd.comm") as other:  # others are told of it meanwhile
        assert other.look(other.readers()[0]).flags & PRESENT
    assert plan.release() == 1
    assert waiting.outcome() == SCARD.S_SUCCESS
    assert fired(plan) == 1


def test_a_command_that_hangs_ends_when_the_card_is_pulled(
    rack: Rack, plan: FaultPlan, card: Connection
) -> None:
    arm(plan, apdu="VERIFY", hang=True)
    waiting = Waiting(lambda: card.transmit(STATE))
    assert within(5, lambda: plan.list()[0].waiting == 1)
    rack.keys.unplug("one")
    assert waiting.outcome() == SCARD.E_NOT_TRANSACTED


def test_a_command_that_hangs_ends_with_the_rack(
    rack: Rack, plan: FaultPlan, card: Connection
) -> None:
    arm(plan, apdu="VERIFY", hang=True)
    waiting = Waiting(lambda: card.transmit(STATE))
    assert within(5, lambda: plan.list()[0].waiting == 1)
    rack.stop()
    waiting.outcome()
    assert not plan.armed


DYING = """
import sys
from smartcard.System import readers
connection = readers()[0].createConnection()
connection.connect()
print("begins", flush=True)
connection.transmit([0x00, 0xA4, 0x04, 0x00, 0x05, 0xA0, 0x00, 0x00, 0x03, 0x08])
"""


def test_a_command_that_hangs_ends_with_its_program(
    rack: Rack, plan: FaultPlan, program: Program
) -> None:
    arm(plan, apdu="SELECT", at=1, hang=True)
    environment = {**os.environ, "PCSCLITE_CSOCK_NAME": str(rack.path / "pcscd.comm")}
    with subprocess.Popen(
        [sys.executable, "-c", DYING], env=environment, stdout=subprocess.DEVNULL
    ) as dying:
        assert within(20, lambda: plan.list()[0].waiting == 1)
        dying.kill()
        assert within(20, lambda: plan.list()[0].waiting == 0)
    again = program.connect(program.readers()[0])
    assert again.transmit(SELECT)[-2:] == b"\x90\x00"


def test_a_pull_by_a_command_is_an_event_like_one_by_hand(
    rack: Rack, plan: FaultPlan, card: Connection
) -> None:
    arm(plan, apdu="SELECT", pull="after")
    assert code_of(card, SELECT) == SCARD.E_NOT_TRANSACTED
    events = [event["event"] for event in rack.events.since(0)]
    assert events == ["added", "plugged", "unplugged"]
    assert not rack.keys.list()[0].plugged


def test_a_real_pcscd_tells_the_same(rack: Rack, plan: FaultPlan) -> None:
    with rack.pcscd() as address, Program(address) as program:
        name = next(name for name in program.readers() if program.look(name).flags & PRESENT)
        card = program.connect(name)
        arm(plan, apdu="SELECT", at=1, status="6A82")
        assert card.transmit(SELECT) == b"\x6a\x82"
        assert card.transmit(SELECT)[-2:] == b"\x90\x00"
        plan.clear()
        arm(plan, apdu="SELECT", at=1, drop=True)
        assert code_of(card, SELECT) == SCARD.E_NOT_TRANSACTED
        plan.clear()

        def comes_back() -> bool:
            """Wait for the link to find its reader again, and pcscd the card."""
            return outcome(lambda: program.connect(name).transmit(SELECT)) == SCARD.S_SUCCESS

        assert within(10, comes_back)
        again = program.connect(name)
        arm(plan, apdu="SELECT", at=1, pull="after")
        assert code_of(again, SELECT) == SCARD.E_NOT_TRANSACTED
        assert fired(plan) == 1
        assert within(10, lambda: program.look(name).flags & EMPTY)

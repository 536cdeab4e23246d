"""pyscard's own monitors and exclusive connections, and pcsc_scan, as judges of the readers."""

import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from card_under_test import CardUnderTest

from ukey_emulator.remote import RackProcess

PROGRAM = Path(__file__).with_name("pyscard_program.py")
SECONDS = 60
A_MOMENT = 0.3  # seconds, in which nothing must happen
SAMPLES = 4
ATR = "3B 8B 80 01 80 F9 A0 00 00 03 08 00 00 10 00 C8"


class Running:
    """A program that runs until its standard input ends, and the lines that it prints."""

    def __init__(self, rack: RackProcess, *command: str | Path) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PCSCLITE_CSOCK_NAME": str(rack.readers_socket)},
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line.rstrip())

    def line(self) -> str:
        """Give its next line; it has a minute to print one."""
        return self._lines.get(timeout=SECONDS)

    def until(self, pattern: str) -> str:
        """Wait for a line that has the pattern in it."""
        while not re.search(pattern, line := self.line()):
            pass
        return line

    def rest(self) -> None:
        """Wait until it waits.

        Before 2.3 libpcsclite never tells of a reader that comes between two calls (PCSC #190).
        """
        end = time.monotonic() + SECONDS
        seen: list[object] = []
        while len(seen) < SAMPLES or seen[-1] is None or len(set(seen[-SAMPLES:])) > 1:
            assert time.monotonic() < end
            time.sleep(A_MOMENT / 10)
            seen.append(self._switches())

    def _switches(self) -> int | None:
        """Tell how often its threads have slept so far; None while one of them does not sleep."""
        count = 0
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            told = dict(line.split(":\t") for line in (task / "status").read_text().splitlines())
            if not told["State"].startswith("S"):
                return None
            count += int(told["voluntary_ctxt_switches"])
        return count

    def end(self) -> int:
        """End its standard input, and wait for its own end; give its exit code."""
        assert self._process.stdin
        self._process.stdin.close()
        return self._process.wait(SECONDS)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()


Run = Callable[..., Running]


@pytest.fixture
def run(rack: RackProcess) -> Iterator[Run]:
    """Give what starts programs that see the rack's readers."""
    started = []

    def start(*command: str | Path) -> Running:
        started.append(Running(rack, *command))
        return started[-1]

    yield start
    for program in started:
        program.kill()


@contextmanager
def plugged(rack: RackProcess, name: str) -> Iterator[str]:
    """Make a key, which is removed afterwards; give its reader's name."""
    with rack.remote() as remote:
        remote.new_key(name=name)
        try:
            yield f"ukeylab {name} 00 00"
        finally:
            remote.remove(name)


def test_pyscards_monitors_tell_of_readers_and_cards(rack: RackProcess, run: Run) -> None:
    program = run(sys.executable, PROGRAM, "monitors")
    assert program.line() == "watching"
    program.rest()
    with plugged(rack, "first") as first, rack.remote() as remote:
        come = {f"reader + {first}", f"card + {first} {ATR}"}
        assert {program.line(), program.line()} == come
        remote.unplug("first")
        assert program.line() == f"card - {first} {ATR}"
        program.rest()
        with plugged(rack, "second") as second:
            come = {f"reader + {second}", f"card + {second} {ATR}"}
            assert {program.line(), program.line()} == come
            remote.plug("first")
            assert program.line() == f"card + {first} {ATR}"
        gone = {f"reader - {second}", f"card - {second} {ATR}"}
        assert {program.line(), program.line()} == gone
    gone = {f"reader - {first}", f"card - {first} {ATR}"}
    assert {program.line(), program.line()} == gone
    assert program.end() == 0


def test_nobody_else_gets_at_a_card_that_one_has_exclusively(card: CardUnderTest, run: Run) -> None:
    card.run("opensc-tool", "--name")
    program = run(sys.executable, PROGRAM, "exclusively")
    assert program.line().endswith("9000")
    assert "Failed to connect" in card.yubico("-a", "status", expect=1)
    assert "in use by another application" in card.run("opensc-tool", "--name", expect=1)
    assert program.end() == 0
    assert "PIN tries left" in card.yubico("-a", "status")
    assert "Personal Identity" in card.run("opensc-tool", "--name")


def test_others_wait_while_one_has_locked_the_card(
    card: CardUnderTest, run: Run, tmp_path: Path
) -> None:
    holder = run(sys.executable, PROGRAM, "locked")
    assert holder.line().endswith("9000")
    done = tmp_path / "done"
    other = threading.Thread(
        target=lambda: done.write_text(card.yubico("-a", "status")), daemon=True
    )
    other.start()
    other.join(A_MOMENT)
    assert not done.exists()
    assert holder.end() == 0
    other.join(SECONDS)
    assert "PIN tries left" in done.read_text()


def test_pcsc_scan_tells_of_readers_and_cards(rack: RackProcess, run: Run) -> None:
    scan = run("stdbuf", "-oL", "pcsc_scan", "-n")
    scan.until("Waiting for the first reader")
    scan.rest()
    with plugged(rack, "first") as first, rack.remote() as remote:
        scan.until(f"Reader 0: .*{first}")
        scan.until("Card inserted")
        assert ATR in scan.until("ATR:")
        remote.unplug("first")
        scan.until("Card removed")
        remote.plug("first")
        scan.until("Card inserted")
        scan.rest()
        with plugged(rack, "second") as second:
            scan.until(f"Reader 1: .*{second}")
            scan.until("Card inserted")
    scan.until("Waiting for the first reader")

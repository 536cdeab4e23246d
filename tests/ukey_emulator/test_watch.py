"""`ukey rack --watch` in a terminal of its own, and where there is none."""

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dying_program import RW, Wire
from program import PIN, ROOM
from rich.console import Console

from ukey_emulator.cli.screen import View, screen
from ukey_emulator.remote import FaultInfo, RackProcess, Remote, SlotStatus, Status
from ukey_emulator.terms import CKU

UKEY = Path(sys.executable).with_name("ukey")
PATIENCE = 30.0
ALTERNATE, NORMAL = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """A terminal with a program in it; `text` is what its screen shows, without colours."""

    def __init__(self, *words: str, lines: int = 30, columns: int = 200) -> None:
        self.master, slave = pty.openpty()
        self.size(lines, columns)
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self.raw = b""
        environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        for name in ("COLUMNS", "LINES"):
            environment.pop(name, None)
        # A session of its own, whose terminal this is: that makes Ctrl-C a signal.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", UKEY, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
        )

    def size(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self) -> None:
        """Take what the program has written, if it has."""
        poll = select.poll()
        poll.register(self.master, select.POLLIN)
        if poll.poll(100):
            self.raw += os.read(self.master, 65536)

    @property
    def text(self) -> str:
        """What the last picture shows: each begins at the upper left corner."""
        picture = self.raw.decode(errors="replace").rsplit("\x1b[H", 1)[-1]
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", picture)

    def shows(self, *wanted: str) -> bool:
        """Wait until all of it is on the screen."""
        end = time.monotonic() + PATIENCE
        while not all(each in self.text for each in wanted):
            if time.monotonic() > end:
                return False
            self.read()
        return True

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def ends(self) -> int:
        """Wait for its end; the terminal is as it was then."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            self.read()
        code = self.process.wait(timeout=1)
        while select.select([self.master], [], [], 0.1)[0]:
            self.raw += os.read(self.master, 65536)
        assert termios.tcgetattr(self._slave) == self.before
        assert self.raw.count(ALTERNATE) == self.raw.count(NORMAL) == 1
        assert b"Traceback" not in self.raw
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._slave)
        os.close(self.master)


@contextmanager
def terminal(*words: str, lines: int = 30, columns: int = 200) -> Iterator[Terminal]:
    made = Terminal(*words, lines=lines, columns=columns)
    try:
        yield made
    finally:
        made.close()


def test_a_rack_of_its_own(tmp_path: Path) -> None:
    with terminal("rack", "--watch", "--home", str(tmp_path)) as seen:
        assert seen.shows("ukeylab rack", str(tmp_path), "no keys yet", "q quits")
        with Remote(tmp_path) as remote:
            key = remote.new_key(name="mine", label="单位证书", tries=3)
            assert seen.shows("mine", "单位证书", key.serial, "3/3", "1 of 1 key")
            wire = Wire(tmp_path)
            wire.C_GetSlotList(False, ROOM._replace(capacity=None))
            session = wire.C_OpenSession(0, RW, True)
            for _ in range(2):
                wire.call("C_Login", session, CKU.USER, b"wrong!")
            assert seen.shows("1/3", "CKR_PIN_INCORRECT", f"killed[{os.getpid()}]: 1 session")
            wire.C_Login(session, CKU.USER, PIN)
            assert seen.shows(f"killed[{os.getpid()}]: user, 1 session", "C_Login CKR_OK")
            wire.end()
            assert seen.shows("0 programs")
            remote.unplug("mine")
            assert seen.shows("(mine is out)", "0 of 1 key")
        seen.press(b"q")
        assert seen.ends() == 0
    assert not (tmp_path / "control.sock").exists()  # the rack has ended as well


def test_a_rack_that_runs_already_goes_on(rack: RackProcess, remote: Remote) -> None:
    remote.new_key(name="mine")
    with terminal("rack", "--watch", "--home", str(rack.home)) as seen:
        assert seen.shows("mine", "10/10")
        seen.press(b"q")
        assert seen.ends() == 0
    assert [key.name for key in remote.keys()] == ["mine"]


@pytest.mark.parametrize(
    "end",
    [
        lambda seen: seen.press(b"\x03"),
        lambda seen: seen.process.send_signal(signal.SIGINT),
        lambda seen: seen.process.send_signal(signal.SIGTERM),
    ],
    ids=["ctrl-c", "SIGINT", "SIGTERM"],
)
def test_every_end_leaves_the_terminal_as_it_was(
    tmp_path: Path, end: Callable[[Terminal], None]
) -> None:
    with terminal("rack", "--watch", "--home", str(tmp_path)) as seen:
        assert seen.shows("no keys yet")
        end(seen)
        assert seen.ends() == 0
    assert not (tmp_path / "control.sock").exists()


def test_the_end_of_the_rack_ends_the_screen(tmp_path: Path) -> None:
    with RackProcess.start(tmp_path) as rack, rack.remote() as remote:
        remote.new_key(name="mine")
        with terminal("rack", "--watch", "--home", str(tmp_path)) as seen:
            assert seen.shows("mine")
            rack.stop()
            assert seen.ends() == 0
            assert b"the rack has gone" in seen.raw


def test_a_screen_that_is_too_small_shows_what_is_used(rack: RackProcess, remote: Remote) -> None:
    for _ in range(30):
        remote.new_key()
    wire = Wire(rack.home)
    wire.C_GetSlotList(False, ROOM._replace(capacity=None))
    wire.C_OpenSession(24, RW, True)
    with terminal("rack", "--watch", "--home", str(rack.home), lines=14, columns=100) as seen:
        assert seen.shows("key-1 ", "key-25", "more", "C_OpenSession")
        assert "key-30" not in seen.text
        assert len(seen.text.splitlines()) <= 14
        seen.size(60, 100)
        assert seen.shows("key-1 ", "key-25", "key-30", "C_OpenSession")
        assert "more" not in seen.text
        seen.press(b"xyz")  # which mean nothing
        seen.press(b"q")
        assert seen.ends() == 0
    wire.end()


def test_what_a_key_is_called_moves_no_cursor(rack: RackProcess, remote: Remote) -> None:
    remote.new_key(name="mine", label="[bold]\u009b2J")
    with terminal("rack", "--watch", "--home", str(rack.home)) as seen:
        assert seen.shows("[bold]·2J")
        seen.press(b"q")
        assert seen.ends() == 0


def test_lines_where_there_is_no_terminal(rack: RackProcess, remote: Remote) -> None:
    remote.new_key(name="mine", tries=3)
    with subprocess.Popen(
        [UKEY, "rack", "--watch", "--home", str(rack.home)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        assert "1 of 1 key plugged in" in watching.stdout.readline()
        assert re.fullmatch(
            r"slot 0  mine  ukey-\w+  \w+  PIN 3/3  SO PIN 3/3  unused\n",
            watching.stdout.readline(),
        )
        wire = Wire(rack.home)
        wire.C_GetSlotList(False, ROOM._replace(capacity=None))
        session = wire.C_OpenSession(0, RW, True)
        wire.C_Login(session, CKU.USER, PIN)
        line = watching.stdout.readline()
        while "user, 1 session" not in line:
            assert line
            line = watching.stdout.readline()
        wire.end()
        remote.unplug("mine")
        while "(mine is out)" not in line:
            assert line
            line = watching.stdout.readline()
        watching.send_signal(signal.SIGTERM)
        assert watching.wait(timeout=PATIENCE) == 0
        assert watching.stdout.read() == ""


def test_watching_goes_not_with_json(tmp_path: Path) -> None:
    done = subprocess.run(
        [UKEY, "rack", "--watch", "--json", "--home", tmp_path],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert "--watch does not go with --json" in done.stderr


def test_faults_that_are_armed_and_have_fired() -> None:
    slot: SlotStatus = {
        "slot": 0,
        "name": "one",
        "key": None,
        "label": None,
        "serial": None,
        "user": None,
        "so": None,
        "programs": [],
        "card": False,
    }
    status: Status = {"home": "/home", "keys": 1, "programs": 0, "calls": 0, "slots": [slot]}
    members = {"name": "third", "function": "C_Sign", "at": 3, "hang": True}
    fault = FaultInfo("third", members, met=4, fired=1, waiting=1)
    calm = FaultInfo("calm", {"name": "calm"}, met=0, fired=0, waiting=0)
    console = Console(width=120, height=12, record=True, file=io.StringIO())
    console.print(screen(View(status, faults=[fault, calm]), console.height))
    text = console.export_text()
    assert (
        "fault third fired 1 of 4, 1 call hanging  function = C_Sign, at = 3, hang = True" in text
    )
    assert "fault calm fired 0 of 0" in text
    assert "(one is out)" in text

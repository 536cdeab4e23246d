"""A real pcscd of our own, with keys in its readers; its clients are libpcsclite's and OpenSC's."""

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sides import within
from stand_in import OK, PLAIN, SLOW, StandIn
from winscard import EMPTY, NO_SERVICE, PRESENT, Connection, Program, outcome

from ukey_emulator.card.card import Card
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.readers import pcscd as ours
from ukey_emulator.readers.links import Links
from ukey_emulator.readers.pcscd import Pcscd, PcscdError
from ukey_emulator.readers.terms import SCARD, Disposition
from ukey_emulator.readers.vpcd import Link
from ukey_emulator.slots import Slots

SELECT = bytes.fromhex("00A4040009A00000030800001000")
VERIFY = bytes.fromhex("0020008008") + b"123456\xff\xff"
IS_VERIFIED = bytes.fromhex("00200080")
SERIAL = bytes.fromhex("00F8000000")
VERIFIED = b"\x90\x00"
TEN_TRIES = b"\x63\xca"
FIRST = "ukeylab-1 00 00"


class Keys:
    """Keys in the readers of a pcscd."""

    def __init__(self, folder: Path, pcscd: Pcscd, count: int) -> None:
        self.slots = Slots()
        self.ring = Keyring(folder / "keys", self.slots, lasting=False)
        for _ in range(count):
            self.ring.new()
        self.pcscd = pcscd
        self.links = Links(self.slots, self._card, pcscd.ports)

    def program(self) -> Program:
        return Program(self.pcscd.socket)

    def close(self) -> None:
        self.links.close()
        self.ring.close()

    def _card(self, chip: object) -> Card:
        return Card(chip, self.slots.epoch)  # type: ignore[arg-type]


@pytest.fixture
def pcscd() -> Iterator[Pcscd]:
    with Pcscd(1) as made:
        yield made


@pytest.fixture
def keys(tmp_path: Path, pcscd: Pcscd) -> Iterator[Keys]:
    made = Keys(tmp_path, pcscd, 1)
    assert made.links.wait(10) == []
    yield made
    made.close()


def seen(program: Program, reader: str, flag: int) -> bool:
    """Wait until a program sees a reader with its card, or without."""
    return within(10, lambda: program.look(reader).flags & flag)


def connected(program: Program, reader: str = FIRST) -> Connection:
    """Connect a program, once there is a card."""
    assert seen(program, reader, PRESENT)
    return program.connect(reader)


def pids_of(word: str) -> list[int]:
    """Find processes that have been told this word."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in command.read_bytes():
                found.append(int(command.parent.name))
        except OSError:
            continue
    return found


def ukey(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ukey_harness.cli", *words]
    return subprocess.run(
        command,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_key_is_a_card_and_forgets_its_login_without_power(keys: Keys) -> None:
    with keys.program() as program:
        card = connected(program)
        assert card.status().atr == bytes.fromhex("3b8b800180f9a0000003080000 1000c8")
        assert card.transmit(SELECT)[-2:] == OK
        for lost in (Disposition.RESET, Disposition.UNPOWER):
            assert card.transmit(IS_VERIFIED) == TEN_TRIES
            assert card.transmit(VERIFY) == VERIFIED
            assert card.transmit(IS_VERIFIED) == VERIFIED
            card.disconnect(lost)
            card = program.connect(FIRST)
        assert card.transmit(IS_VERIFIED) == TEN_TRIES


def test_a_key_is_pulled_out_and_plugged_in_again(keys: Keys) -> None:
    with keys.program() as program:
        card = connected(program)
        assert card.transmit(VERIFY) == VERIFIED
        keys.ring.unplug("key-1")
        assert outcome(card.transmit, SELECT) in {SCARD.E_NOT_TRANSACTED, SCARD.W_REMOVED_CARD}
        assert seen(program, FIRST, EMPTY)
        assert outcome(card.transmit, SELECT) == SCARD.W_REMOVED_CARD
        assert outcome(program.connect, FIRST) == SCARD.E_NO_SMARTCARD
        keys.ring.plug("key-1")
        assert seen(program, FIRST, PRESENT)
        assert outcome(card.transmit, SELECT) in {SCARD.W_REMOVED_CARD, SCARD.W_RESET_CARD}
        card.reconnect()
        assert card.transmit(IS_VERIFIED) == TEN_TRIES


def test_a_program_that_waits_is_told(keys: Keys) -> None:
    with keys.program() as program:
        assert seen(program, FIRST, PRESENT)
        for change, flag in ((keys.ring.unplug, EMPTY), (keys.ring.plug, PRESENT)):
            known = program.look(FIRST).state
            change("key-1")
            assert program.wait((FIRST, known), milliseconds=10_000)[0].flags & flag


def test_a_pcscd_that_was_killed_finds_the_keys_again(keys: Keys) -> None:
    with keys.program() as program:
        card = connected(program)
        assert card.transmit(VERIFY) == VERIFIED
        keys.pcscd.restart()
        assert outcome(card.transmit, SELECT) == NO_SERVICE
    with keys.program() as program:
        assert connected(program).transmit(IS_VERIFIED) == TEN_TRIES


def test_each_key_has_a_reader_of_its_own(tmp_path: Path) -> None:
    with Pcscd(3) as pcscd:
        keys = Keys(tmp_path, pcscd, 3)
        try:
            assert keys.links.wait(10) == []
            with keys.program() as program:
                names = [FIRST, "ukeylab-1 00 01", "ukeylab-2 00 00", "ukeylab-2 00 01"]
                assert program.readers() == names
                serials = {connected(program, name).transmit(SERIAL) for name in names[:3]}
                assert len(serials) == 3
                assert program.look(names[3]).flags & EMPTY
                keys.ring.new(name="late")
                serials.add(connected(program, names[3]).transmit(SERIAL))
                assert len(serials) == 4
                keys.ring.remove("key-2")
                assert seen(program, names[1], EMPTY)
                keys.ring.new(name="later")
                serials.add(connected(program, names[1]).transmit(SERIAL))
                assert len(serials) == 5
        finally:
            keys.close()


def test_a_key_without_a_reader_is_named(
    tmp_path: Path, pcscd: Pcscd, caplog: pytest.LogCaptureFixture
) -> None:
    keys = Keys(tmp_path, pcscd, 3)
    try:
        assert keys.links.wait(10) == ["key-3"]
        assert "no reader is free for key-3" in caplog.text
    finally:
        keys.close()


def test_a_card_that_is_pulled_out_at_work_gives_no_answer(pcscd: Pcscd) -> None:
    link, card = Link(pcscd.ports[0]), StandIn()
    link.insert(card)  # type: ignore[arg-type]
    ended: list[int] = []
    try:
        with Program(pcscd.socket) as program:
            connection = connected(program)
            assert connection.transmit(PLAIN) == OK
            at_work = threading.Thread(
                target=lambda: ended.append(outcome(connection.transmit, SLOW))
            )
            at_work.start()
            assert card.entered.wait(10)
            link.remove()
            card.go_on.set()
            at_work.join(10)
            assert ended == [SCARD.E_NOT_TRANSACTED]
            assert seen(program, FIRST, EMPTY)
    finally:
        card.go_on.set()
        link.close()


def test_two_at_once_know_nothing_of_each_other(keys: Keys, tmp_path: Path) -> None:
    with Pcscd(1) as pcscd:
        assert not set(pcscd.ports) & set(keys.pcscd.ports)
        folder = tmp_path / "others"
        folder.mkdir()
        others = Keys(folder, pcscd, 1)
        try:
            with keys.program() as program, others.program() as other:
                first, second = connected(program), connected(other)
                assert first.transmit(SERIAL) != second.transmit(SERIAL)
                keys.ring.unplug("key-1")
                assert seen(program, FIRST, EMPTY)
                assert second.transmit(SELECT)[-2:] == OK
        finally:
            others.close()


def test_a_stranger_in_the_reader_is_found_out(tmp_path: Path, pcscd: Pcscd) -> None:
    with socket.create_connection(("127.0.0.1", pcscd.ports[0]), 10) as stranger:
        stranger.settimeout(10)
        asked = b""
        while len(asked) < 3:
            asked += stranger.recv(3 - len(asked))
        assert asked == b"\x00\x01\x04"
        keys = Keys(tmp_path, pcscd, 1)
        try:
            assert keys.links.wait(1) == ["key-1"]
            stranger.close()
            assert keys.links.wait(10) == []
        finally:
            keys.close()


def test_only_this_user_can_connect_and_nothing_is_left() -> None:
    with Pcscd(1) as pcscd:
        folder = pcscd.socket.parent
        assert stat.S_IMODE(pcscd.socket.stat().st_mode) == 0o600
        assert len(pids_of(str(folder))) == 1
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert not folder.exists()
    assert pids_of(str(folder)) == []
    assert outcome(Program, pcscd.socket) == NO_SERVICE


def test_its_ports_are_found_free_by_nobody_else(pcscd: Pcscd) -> None:
    os.killpg(pids_of(str(pcscd.socket.parent))[0], signal.SIGKILL)
    for port in pcscd.ports:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("", port))


@pytest.mark.parametrize(
    ("part", "elsewhere", "message"),
    [
        ("_SBIN", (), "install the Debian package pcscd$"),
        ("_DRIVERS", "/absent/*.so", "install the Debian package vsmartcard-vpcd"),
        ("_RUN", Path("/proc/absent"), "needs the folder /proc/absent, which only root can make"),
    ],
)
def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, part: str, elsewhere: object, message: str
) -> None:
    monkeypatch.setattr(ours, part, elsewhere)
    if part == "_SBIN":
        monkeypatch.setenv("PATH", "/absent")
    with pytest.raises(PcscdError, match=message):
        Pcscd(1).start()


def test_a_pcscd_that_does_not_start_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "_command", lambda *_: ["echo", "cannot go on"])
    with pytest.raises(PcscdError, match="does not start; it says: cannot go on"):
        Pcscd(1).start()


def test_a_program_is_run_with_keys_in_a_pcscd() -> None:
    done = ukey(
        "run", "--keys", "3", "--pcscd", "--", "sh", "-c",
        "opensc-tool --list-readers && opensc-tool --reader 2 --name && echo $PCSCLITE_CSOCK_NAME"
        " && exit 7",
    )  # fmt: skip
    assert done.returncode == 7, done
    *told, address = done.stdout.splitlines()
    assert [line.split() for line in told[2:5]] == [
        ["0", "Yes", "ukeylab-1", "00", "00"],
        ["1", "Yes", "ukeylab-1", "00", "01"],
        ["2", "Yes", "ukeylab-2", "00", "00"],
    ]
    assert told[-1] == "Personal Identity Verification Card"
    assert not Path(address).parent.exists()
    assert pids_of(str(Path(address).parent)) == []


def test_a_pcscd_that_cannot_be_had_is_said_without_running_anything() -> None:
    done = ukey("run", "--pcscd", "--keys", "19", "--", "echo", "started")
    assert done.returncode == 1
    assert "no more than 16 readers" in done.stderr
    assert "Traceback" not in done.stderr
    assert "started" not in done.stdout


def test_pcscd_ends_with_a_run_that_was_killed() -> None:
    command = ["run", "--pcscd", "--", "sh", "-c", "echo $PCSCLITE_CSOCK_NAME; exec cat"]
    with (
        tempfile.TemporaryDirectory(prefix="ukey-") as folder,
        subprocess.Popen(
            [sys.executable, "-m", "ukey_harness.cli", *command],
            env={**os.environ, "TMPDIR": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as run,
    ):
        assert run.stdin is not None
        assert run.stdout is not None
        assert folder.encode() in run.stdout.readline()
        assert len(pids_of(f"{folder}/ukey-pcscd")) == 1
        run.kill()
        run.wait(10)
        run.stdin.close()
        assert within(10, lambda: not pids_of(f"{folder}/ukey-pcscd"))

"""Snapshots: copies of keys, new keys made from them, and keys put back to what they were."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from program import PIN, SO_PIN, Program, attributes

from ukey_emulator.chip import Chip
from ukey_emulator.cli.key import key as key_commands
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.rack.home import RackError
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.remote import RackProcess, Remote, RemoteError
from ukey_emulator.slots import Slots
from ukey_emulator.terms import CKA, CKO, CKR, CKU

DATA = {"CLASS": int(CKO.DATA), "TOKEN": True, "PRIVATE": True}


def put(program: Program, session: int, value: str) -> int:
    """Put a private data object on the token."""
    return int(program.C_CreateObject(session, attributes(**DATA, VALUE=value), True))


def values(program: Program, slot: int = 0) -> list[bytes]:
    """Give what the data objects on the token hold, as another program sees it."""
    program = Program(program.face)
    session = program.open(slot, user=CKU.USER)
    found = program.find(session, CLASS=int(CKO.DATA))
    held = sorted(program.read(session, obj, CKA.VALUE) for obj in found)
    program.C_CloseAllSessions(slot)
    return held


def chip_of(keyring: Keyring, slot: int = 0) -> Chip:
    found = keyring._slots.get(slot)
    assert found is not None
    assert found.chip is not None
    return found.chip


def tries_left(keyring: Keyring, slot: int = 0) -> int:
    record = chip_of(keyring, slot).pin(CKU.USER)
    assert record is not None
    return record.tries_left


def reopened(keyring: Keyring) -> Keyring:
    """Give the folder's keys as a rack finds them that starts anew."""
    keyring.close()
    return Keyring(keyring._folder, Slots())


def wrong_pin(program: Program) -> None:
    session = program.open()
    assert program.rv("C_Login", session, CKU.USER, b"wrong!") == CKR.PIN_INCORRECT
    program.C_CloseAllSessions(0)


# Rewinding


def test_a_rewind_brings_back_what_was_there(keyring: Keyring, program: Program) -> None:
    session = program.open(user=CKU.USER)
    put(program, session, "before")
    keyring.snapshot("key")
    put(program, session, "after")
    before = keyring.list()
    assert keyring.rewind("key") == before[0]
    assert keyring.list() == before
    assert values(program) == [b"before"]


def test_a_snapshot_disturbs_nobody(keyring: Keyring, program: Program) -> None:
    session = program.open(user=CKU.USER)
    obj = put(program, session, "mine")
    keyring.snapshot("key")
    assert program.read(session, obj, CKA.VALUE) == b"mine"


def test_a_rewind_is_a_pull_and_a_plug(
    keyring: Keyring, program: Program, other_program: Program
) -> None:
    keyring.snapshot("key")
    session, other = program.open(user=CKU.USER), other_program.open()
    obj = put(program, session, "gone")
    slot = keyring._slots.get(0)
    assert slot is not None
    changes = slot.changes
    keyring.rewind("key")
    assert slot.changes == changes + 2
    for each, handle in ((program, session), (other_program, other)):
        assert each.rv("C_GetSessionInfo", handle, True) in {
            CKR.DEVICE_REMOVED,
            CKR.SESSION_HANDLE_INVALID,
        }
    again = program.open()
    assert again != session
    assert program.rv("C_DestroyObject", again, obj) == CKR.OBJECT_HANDLE_INVALID
    assert program.rv("C_CreateObject", again, attributes(**DATA), True) == CKR.USER_NOT_LOGGED_IN


def test_pins_and_their_counters_are_those_of_the_snapshot(
    keyring: Keyring, program: Program
) -> None:
    wrong_pin(program)
    keyring.snapshot("key")
    session = program.open(user=CKU.USER)
    program.C_SetPIN(session, PIN, b"another pin")
    assert tries_left(keyring) == 10
    keyring.rewind("key")
    assert tries_left(keyring) == 9
    program.open(user=CKU.USER)


def test_a_blocked_pin_is_blocked_no_longer(keyring: Keyring, program: Program) -> None:
    keyring.snapshot("key", "fresh")
    for _ in range(10):
        wrong_pin(program)
    assert tries_left(keyring) == 0
    keyring.rewind("key", "fresh")
    program.open(user=CKU.USER)


def test_a_key_that_is_out_stays_out(keyring: Keyring, program: Program) -> None:
    session = program.open(user=CKU.USER)
    put(program, session, "one")
    keyring.unplug("key")
    keyring.snapshot("key")
    keyring.plug("key")
    put(program, program.open(user=CKU.USER), "two")
    keyring.unplug("key")
    assert not keyring.rewind("key").plugged
    keyring.plug("key")
    assert values(program) == [b"one"]


def test_the_newest_snapshot_of_the_key_itself_is_taken(keyring: Keyring, program: Program) -> None:
    session = program.open(user=CKU.USER)
    for value in ("one", "two", "three"):
        put(program, session, value)
        keyring.snapshot("key", value)
    keyring.new(name="other")
    keyring.snapshot("other")
    keyring.rewind("key")
    assert len(values(program)) == 3
    keyring.rewind("key", "one")
    assert values(program) == [b"one"]
    keyring.remove_snapshot("three")
    keyring.rewind("key")
    assert len(values(program)) == 2


def test_a_later_key_of_the_same_name_has_no_snapshots(keyring: Keyring) -> None:
    keyring.snapshot("key", "old")
    keyring.remove("key")
    keyring.new(name="key")
    with pytest.raises(RackError, match="no snapshot of key itself; there are: old"):
        keyring.rewind("key")


def test_the_snapshot_of_another_key_brings_its_state_not_its_serial(
    keyring: Keyring, program: Program
) -> None:
    put(program, program.open(user=CKU.USER), "mine")
    keyring.snapshot("key", "kept")
    made = keyring.new(name="other", profile="yubikey")
    identity = chip_of(keyring, 1).identity
    rewound = keyring.rewind("other", "kept")
    assert (rewound.serial, rewound.label) == (made.serial, "test key")
    assert chip_of(keyring, 1).identity == identity
    assert values(program, 1) == [b"mine"]


# New keys of snapshots


def test_a_key_of_a_snapshot_is_like_it_but_for_its_serial(
    keyring: Keyring, program: Program
) -> None:
    session = program.open(user=CKU.USER)
    put(program, session, "copied")
    program.C_SetPIN(session, PIN, b"my own pin")
    program.C_SetPIN(session, b"my own pin", PIN)
    keyring.snapshot("key", "kept")
    copies = [keyring.new_from("kept"), keyring.new_from("kept", name="mine", label="单位")]
    assert [copy.label for copy in copies] == ["test key", "单位"]
    assert len({info.serial for info in keyring.list()}) == 3
    another = Program(program.face)
    put(another, another.open(1, user=CKU.USER), "its own")
    assert [values(program, slot) for slot in range(3)] == [
        [b"copied"],
        [b"copied", b"its own"],
        [b"copied"],
    ]


def test_a_key_of_a_snapshot_has_its_profile(keyring: Keyring) -> None:
    keyring.new(name="yubi", profile="yubikey")
    keyring.snapshot("yubi", "kept")
    keyring.new_from("kept")
    old, new = chip_of(keyring, 1).identity, chip_of(keyring, 2).identity
    assert (new.reader, new.atr, new.without) == (old.reader, old.atr, old.without)
    assert new.serial != old.serial


def test_a_blank_token_is_copied_blank(keyring: Keyring) -> None:
    keyring.new(name="blank", initialized=False)
    keyring.snapshot("blank", "kept")
    assert keyring.new_from("kept", label="too early").label == ""
    assert not chip_of(keyring, 2).initialised


def test_an_old_file_can_be_copied(keyring: Keyring, program: Program) -> None:
    old = Path(__file__).with_name("version_1.ukey").read_bytes()
    folder = keyring._folder.with_name("snapshots")
    (folder / "old@key@0123456789ABCDEF.ukey").write_bytes(old)
    keyring._snapshots = type(keyring._snapshots)(folder, lasting=False)
    assert keyring.new_from("old").label == "an old key"
    assert values(program, 1) == [b"mine"]
    keyring.rewind("key", "old")
    assert values(program) == [b"mine"]


# Back to the factory


@pytest.mark.parametrize("rewound", [False, True])
def test_a_reset_is_what_left_the_factory(keyring: Keyring, *, rewound: bool) -> None:
    made = keyring.new(name="own", pin="654321", so_pin="87654321", tries=3, label="mine")
    program = Program(Face(keyring._slots, lambda *_: None))
    Program(program.face).C_InitToken(1, b"87654321", b"another".ljust(32))
    keyring.snapshot("own")
    if rewound:
        keyring.rewind("own")
        keyring.reset("own")
    for _ in range(2):
        assert keyring.reset("own") == made
        session = program.open(1)
        assert program.rv("C_Login", session, CKU.USER, b"123456") == CKR.PIN_INCORRECT
        program.C_Login(session, CKU.USER, b"654321")
        assert not program.find(session, CLASS=int(CKO.DATA))
        put(program, session, "to be gone")


def test_a_blank_key_is_blank_after_a_reset(keyring: Keyring, program: Program) -> None:
    keyring.new(name="blank", initialized=False)
    Program(program.face).C_InitToken(1, SO_PIN, b"named".ljust(32))
    assert chip_of(keyring, 1).initialised
    assert keyring.reset("blank").label == ""
    assert not chip_of(keyring, 1).initialised


def test_a_reset_of_a_copy_keeps_the_copys_serial(keyring: Keyring, program: Program) -> None:
    put(program, program.open(user=CKU.USER), "copied")
    keyring.snapshot("key", "kept")
    copy = keyring.new_from("kept", name="copy")
    assert keyring.reset("copy").serial == copy.serial
    assert values(program, 1) == []


def test_a_key_of_before_factories_says_so(keyring: Keyring) -> None:
    old = Path(__file__).with_name("version_1.ukey").read_bytes()
    (keyring._folder / "old.ukey").write_bytes(old)
    again = reopened(keyring)
    with pytest.raises(RackError, match="made before"):
        again.reset("old")
    assert [info.plugged for info in again.list()] == [True, True]
    again.close()


# Names and files


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda ring: ring.rewind("key", "none"), "no snapshot none; there are: kept"),
        (lambda ring: ring.new_from("none"), "no snapshot none; there are: kept"),
        (lambda ring: ring.remove_snapshot("none"), "no snapshot none; there are: kept"),
        (lambda ring: ring.snapshot("yours"), "no key yours; there are: key"),
        (lambda ring: ring.snapshot("key", "../evil"), "cannot be called"),
        (lambda ring: ring.snapshot("key", "a@b"), "cannot be called"),
        (lambda ring: ring.snapshot("key", ""), "cannot be called"),
        (lambda ring: ring.snapshot("key", "kept"), "already"),
        (lambda ring: ring.new_from("kept", name="key"), "already"),
        (lambda ring: ring.new_from("kept", name="../evil"), "cannot be called"),
        (lambda ring: ring.new_from("kept", label="长" * 11), "32 bytes"),
    ],
)
def test_what_cannot_be_done_says_why_and_changes_nothing(
    keyring: Keyring, ask: Callable[[Keyring], object], message: str
) -> None:
    keyring.snapshot("key", "kept")
    before = keyring.list(), keyring.snapshots()
    with pytest.raises(RackError, match=message):
        ask(keyring)
    assert (keyring.list(), keyring.snapshots()) == before


def test_snapshots_are_there_again(keyring: Keyring) -> None:
    taken = [keyring.snapshot("key") for _ in range(11)]
    assert [info.name for info in taken[:2]] == ["key-1", "key-2"]
    keyring.remove_snapshot("key-2")
    again = reopened(keyring)
    assert again.snapshots() == (taken[0], *taken[2:])
    assert again.snapshot("key").name == "key-2"
    assert again.snapshots()[-1].name == "key-2"
    again.close()


def test_the_files_belong_to_the_user_alone(keyring: Keyring) -> None:
    keyring.snapshot("key")
    keyring.new_from("key-1")
    folder = keyring._folder.with_name("snapshots")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in (*folder.iterdir(), *keyring._folder.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_kill_left_half_written_is_cleared_away(keyring: Keyring) -> None:
    folder = keyring._folder.with_name("snapshots")
    halves = [folder / "half@key@1.ukey.part", keyring._folder / "half.ukey.part"]
    for half in halves:
        half.write_bytes(b"half")
    again = reopened(keyring)
    assert not any(half.exists() for half in halves)
    assert [info.name for info in again.list()] == ["key"]
    assert again.snapshots() == ()
    again.close()


def test_the_log_of_a_key_that_is_gone_spoils_no_new_one(
    keyring: Keyring, program: Program
) -> None:
    keyring.snapshot("key", "kept")
    put(program, program.open(user=CKU.USER), "logged")
    stale = (keyring._folder / "key.ukey-wal").read_bytes()
    assert stale
    (keyring._folder / "new.ukey-wal").write_bytes(stale)
    keyring.new_from("kept", name="new")
    assert values(program, 1) == []


def test_removing_a_key_leaves_its_neighbours(keyring: Keyring) -> None:
    keyring.new(name="a")
    keyring.new(name="a.ukey")
    keyring.remove("a")
    again = reopened(keyring)
    assert {info.name for info in again.list()} == {"key", "a.ukey"}
    again.close()


def test_a_spoilt_snapshot_harms_no_key(keyring: Keyring, program: Program) -> None:
    put(program, program.open(user=CKU.USER), "safe")
    keyring.snapshot("key", "spoilt")
    (path,) = keyring._folder.with_name("snapshots").iterdir()
    for content in (b"", b"not a key" * 1000, path.read_bytes()[:5000]):
        path.write_bytes(content)
        with pytest.raises(RackError, match=r"stays as it was|cannot be used"):
            keyring.rewind("key", "spoilt")
        with pytest.raises(RackError, match=r"cannot be made|cannot be used"):
            keyring.new_from("spoilt")
        assert [info.plugged for info in keyring.list()] == [True]
        assert values(program) == [b"safe"]


# Full disks and kills

_FULL = """
import resource, sys
from pathlib import Path
from ukey_emulator.chip import Role, making
from ukey_emulator.rack.home import RackError
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.slots import Slots

ring = Keyring(Path(sys.argv[1]), Slots())
ring.snapshot("key", "small")
chip = ring._slots.get(0).chip
chip.log_in(Role.USER, b"123456")
big = [(0, bytes(8)), (1, b"\\1"), (2, b"\\1"), (0x11, b"x" * 200_000)]
chip.keep(making.create(big))
ring.snapshot("key", "big")
ring.rewind("key", "small")
before = ring.list(), ring.snapshots()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for work in (lambda: ring.rewind("key", "big"), lambda: ring.new_from("big")):
    try:
        work()
    except RackError as error:
        print(error)
assert (ring.list(), ring.snapshots()) == before
ring.rewind("key", "small")
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 100_000))
try:
    ring.snapshot("key", "more")
except RackError as error:
    print(error)
assert (ring.list(), ring.snapshots()) == before
"""


def test_a_full_disk_tells_so_and_loses_nothing(keyring: Keyring, program: Program) -> None:
    put(program, program.open(user=CKU.USER), "safe")
    keyring.close()
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(keyring._folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rewound, made, taken = done.stdout.splitlines()
    assert rewound.startswith("the key stays as it was: ")
    assert "full" in rewound or "disk I/O" in rewound
    assert made.startswith("the key cannot be made: ")
    assert "File too large" in made
    assert taken.startswith("the snapshot cannot be taken: ")
    assert "File too large" in taken
    again = Keyring(keyring._folder, Slots())
    assert values(Program(Face(again._slots, lambda *_: None))) == [b"safe"]
    again.close()
    assert not list(keyring._folder.parent.rglob("*.part"))


_TURNS = """
import sys
from pathlib import Path
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.slots import Slots

ring = Keyring(Path(sys.argv[1]), Slots())
print("ready", flush=True)
while True:
    for name in ("one", "two"):
        ring.rewind("key", name)
        ring.snapshot("key", "again")
        ring.new_from("again", name="copy")
        ring.remove("copy")
        ring.remove_snapshot("again")
"""


@pytest.mark.parametrize("milliseconds", [2, 9, 23, 40])
def test_a_kill_at_any_instant_leaves_before_or_after(
    keyring: Keyring, program: Program, milliseconds: int
) -> None:
    session = program.open(user=CKU.USER)
    put(program, session, "one")
    keyring.snapshot("key", "one")
    put(program, session, "two" * 20_000)
    keyring.snapshot("key", "two")
    serial = keyring.list()[0].serial
    keyring.close()
    arguments = [sys.executable, "-c", _TURNS, str(keyring._folder)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as turning:
        assert turning.stdout is not None
        assert turning.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            turning.wait(timeout=milliseconds / 1000)
        os.kill(turning.pid, signal.SIGKILL)
    again = Keyring(keyring._folder, Slots())
    assert {info.name for info in again.list()} - {"copy"} == {"key"}
    assert [info.serial for info in again.list() if info.name == "key"] == [serial]
    assert {info.name for info in again.snapshots()} - {"again"} == {"one", "two"}
    reader = Program(Face(again._slots, lambda *_: None))
    states = [[b"one"], [b"one", b"two" * 20_000]]
    slots = {info.name: info.slot for info in again.list()}  # a copy comes before the key
    for slot in slots.values():
        session = reader.open(slot, user=CKU.USER)
        assert len(reader.find(session, CLASS=int(CKO.DATA))) in {1, 2}
        reader.C_CloseAllSessions(slot)
    for snapshot, state in zip(("one", "two"), states, strict=True):
        again.rewind("key", snapshot)
        session = reader.open(slots["key"], user=CKU.USER)
        assert len(reader.find(session, CLASS=int(CKO.DATA))) == len(state)
    again.close()


# The control port and the commands


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[RackProcess]:
    with RackProcess.start(tmp_path / "home") as running:
        yield running


def ukey(rack: RackProcess, *arguments: str) -> str:
    done = CliRunner().invoke(key_commands, [*arguments, "--home", str(rack.home)])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_commands(rack: RackProcess, remote: Remote) -> None:
    made = remote.new_key(name="mine", label="标签")
    (taken,) = json.loads(ukey(rack, "snapshot", "mine", "--as", "kept", "--json"))
    assert (taken["name"], taken["key"], taken["serial"]) == ("kept", "mine", made.serial)
    assert "mine-1  of mine" in ukey(rack, "snapshot", "mine")
    (copy,) = json.loads(ukey(rack, "new", "--from", "kept", "--json"))
    assert copy["label"] == "标签"
    assert copy["serial"] != made.serial
    (rewound,) = json.loads(ukey(rack, "rewind", "mine", "--json"))
    assert rewound["serial"] == made.serial
    assert made.serial in ukey(rack, "rewind", "mine", "kept")
    assert made.serial in ukey(rack, "reset", "mine")
    listed = json.loads(ukey(rack, "snapshots", "--json"))
    assert [each["name"] for each in listed] == ["kept", "mine-1"]
    assert "kept" not in ukey(rack, "snapshots", "--remove", "kept")
    assert ukey(rack, "snapshots", "--remove", "mine-1") == ""


@pytest.mark.parametrize("option", [["--blank"], ["--tries", "3"], ["--profile", "yubikey"]])
def test_what_does_not_go_with_a_snapshot(option: list[str]) -> None:
    done = CliRunner().invoke(key_commands, ["new", "--from", "kept", *option])
    assert done.exit_code == 2
    assert f"{option[0]} does not go with --from" in done.output


def test_a_rack_that_is_killed_keeps_its_snapshots(tmp_path: Path) -> None:
    with RackProcess.start(tmp_path) as rack, rack.remote() as remote:
        remote.new_key(name="mine")
        taken = remote.snapshot("mine")
        rack._process.kill()
    with RackProcess.start(tmp_path) as rack, rack.remote() as remote:
        assert remote.snapshots() == [taken]
        remote.rewind("mine")
        with pytest.raises(RemoteError, match="no snapshot yours; there are: mine-1"):
            remote.rewind("mine", "yours")

"""Many keys in one rack: what is not used costs no thread, and no open file beyond a few."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import Program, attributes

from ukey_emulator.chip import Refusal
from ukey_emulator.chip.store.open_files import OpenFiles
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.cryptoki.wire import Mechanism, Out
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.remote import Remote
from ukey_emulator.slots import Slots
from ukey_emulator.terms import CKM, CKO, CKR, CKU

KEYS = 1_000
FEW_FILES = 256  # that the rack may open, far fewer than it has keys


class File:
    """Something that rests when it is told to, unless it is busy."""

    def __init__(self) -> None:
        self.busy = False
        self.rests = False

    def rest(self) -> bool:
        self.rests = not self.busy
        return self.rests


@contextlib.contextmanager
def rack(home: Path) -> Iterator[tuple[int, Remote]]:
    """Run a rack that may open but few files; gives its process and its control port."""
    program = f'ulimit -n {FEW_FILES}; exec "$0" -m ukey_emulator.rack "$1" lasting'
    with subprocess.Popen(
        ["sh", "-c", program, sys.executable, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            with Remote(home) as remote:
                yield process.pid, remote
        finally:
            process.stdin.close()
            process.wait(timeout=30)


def listed(home: Path) -> list[str]:
    """Give the serial numbers that a program sees in all slots, by the module."""
    script = (
        "import pkcs11, sys\n"
        "from ukey_emulator import module_path\n"
        "tokens = list(pkcs11.lib(str(module_path())).get_tokens())\n"
        "print(*(token.serial.decode() for token in tokens), sep='\\n')\n"
        "for token in (tokens[0], tokens[-1]):\n"
        "    with token.open(rw=True, user_pin='123456') as session:\n"
        "        session.generate_keypair(pkcs11.KeyType.RSA, 1024, store=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "UKEY_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


def open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def threads(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


def test_a_thousand_keys_where_few_files_may_be_open(tmp_path: Path) -> None:
    with rack(tmp_path) as (pid, remote):
        remote.new_key(name="first")
        alone = threads(pid)
        made = [remote.new_key().serial for _ in range(KEYS - 1)]
        assert open_files(pid) < FEW_FILES
        assert threads(pid) <= alone + 1
    with rack(tmp_path) as (pid, remote):
        keys = remote.keys()
        assert {key.serial for key in keys if key.name != "first"} == set(made)
        seen = listed(tmp_path)
        assert seen == [key.serial for key in keys]
        assert open_files(pid) < FEW_FILES
        remote.unplug(keys[0].name)
        assert len(listed(tmp_path)) == KEYS - 1


def test_who_has_not_been_used_for_longest_rests() -> None:
    files = OpenFiles(2)
    first, second, third = File(), File(), File()
    for each in (first, second, first, third):
        files.use(each)
    assert (first.rests, second.rests, third.rests) == (False, True, False)


def test_who_is_at_work_does_not_rest() -> None:
    files = OpenFiles(1)
    first, second = File(), File()
    first.busy = True
    files.use(first)
    files.use(second)
    assert not first.rests
    first.busy = False
    files.use(first)
    assert second.rests
    files.use(second)
    assert first.rests


def test_what_is_closed_for_good_takes_no_room() -> None:
    files = OpenFiles(2)
    first, second, third = File(), File(), File()
    files.use(first)
    files.use(second)
    files.forget(second)
    files.use(third)
    assert not first.rests


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyring]:
    """Two keys of which one at a time has its file open."""
    monkeypatch.setattr("ukey_emulator.chip.store.store._open_files", OpenFiles(1))
    ring = Keyring(tmp_path / "keys", Slots())
    ring.new(name="one")
    ring.new(name="two")
    yield ring
    ring.close()


def open_of(ring: Keyring) -> list[str]:
    """Give the names of the files in the folder of the keys that this process has open."""
    folder = str(ring._folder)
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            path = descriptor.readlink()
            if str(path.parent) == folder:
                found.add(path.name)
    return sorted(found)


def test_a_key_that_rests_goes_on_where_it_was(ring: Keyring) -> None:
    program = Program(Face(ring._slots, lambda *_: None))
    sessions = [program.open(slot, user=CKU.USER) for slot in (0, 1)]
    made = []
    for turn in range(3):
        for session in sessions:
            program.C_DigestInit(session, Mechanism(CKM.SHA256, None))
            template = attributes(CLASS=int(CKO.DATA), TOKEN=True, LABEL=f"object {turn}")
            made.append((session, program.C_CreateObject(session, template, True)))
            assert len(open_of(ring)) == 2  # a file and its log
            program.C_DigestUpdate(session, b"data")
            program.C_DigestFinal(session, Out(asked=True, capacity=32))
    for session in sessions:
        assert len(program.find(session, CLASS=int(CKO.DATA))) == 3
    for session, obj in made:
        program.C_DestroyObject(session, obj)


def test_a_change_on_two_keys_at_once(ring: Keyring) -> None:
    """Neither rests in the middle of its change, whoever wants the room."""
    one, two = (slot.chip for slot in ring._slots)
    assert one is not None
    assert two is not None
    with one._store.change():
        one._store.put_fact("label", b"new")
        with two._store.change():
            two._store.put_fact("label", b"other")
    for key in ("one", "two"):
        ring.unplug(key)
        ring.plug(key)
    assert [info.label for info in ring.list()] == ["new", "other"]


def test_a_file_that_was_deleted_meanwhile_is_a_broken_key(ring: Keyring) -> None:
    (one, _) = (slot.chip for slot in ring._slots)
    assert one is not None
    path = ring._folder / "one.ukey"
    path.unlink()
    with pytest.raises(Refusal) as refused:
        one.initialise(b"12345678", "new")
    assert refused.value.code == CKR.DEVICE_ERROR
    assert not path.exists()

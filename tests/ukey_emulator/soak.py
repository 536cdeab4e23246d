"""The soak: programs with threads at one rack, killed, forked and finalised, and keys pulled.

    python tests/ukey_emulator/soak.py --seconds 600 [--seed N]

It ends with what must be so: the store whole, nothing left of anybody, nothing in the rack's log.
"""

import argparse
import ctypes
import os
import random
import re
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from ctypes import byref, c_ulong
from pathlib import Path
from typing import Any

import rack_watch
from c_program import CProgram
from program import PIN, SO_PIN, attributes
from rack_watch import within
from soak_worker import Board, content, work

from ukey_emulator.cryptoki.wire import Mechanism, Out, Query
from ukey_emulator.remote import RackProcess
from ukey_emulator.terms import CKA, CKF, CKM, CKO, CKR, CKU

KEYS, PROGRAMS, THREADS = 2, 5, 3
TRIES = 200
COUNT_LOW = int(CKF.USER_PIN_COUNT_LOW)


class Soak:
    """One run: `run` does it, `report` tells what was measured."""

    def __init__(self, folder: Path, seconds: float, seed: int) -> None:
        self._folder = folder
        self._seconds = seconds
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311 - a soak is repeated by its seed
        self._board = Board(PROGRAMS * THREADS)
        self._log = folder / "rack.log"
        self._faults = folder / "faults"
        self._children: dict[int, int] = {}
        self._begun = 0
        self._killed = 0
        self._pulls = 0
        self.report: dict[str, Any] = {"seed": seed, "seconds": seconds}

    def run(self) -> None:
        """Let it soak, then check everything; AssertionError says what is wrong."""
        os.environ["UKEY_HOME"] = str(self._folder / "rack")
        rack = self._start()
        try:
            with rack.remote() as remote:
                for number in range(KEYS):
                    remote.new_key(name=f"key-{number}", tries=TRIES)
                before = rack_watch.threads(rack), rack_watch.descriptors(rack)
                self.report["memory"] = [rack_watch.resident_kilobytes(rack)]
                try:
                    self._disturb(rack, remote)
                finally:
                    self._end_programs()
                assert not self._complaints(), self._complaints() + self._log.read_text()[-5000:]
                after = lambda: (rack_watch.threads(rack), rack_watch.descriptors(rack))  # noqa: E731
                assert within(
                    20, lambda: after()[0] <= before[0] and after()[1] <= before[1] + KEYS
                )
                self.report["threads, descriptors"] = before, after()
                self._check_memory()
                for number in range(KEYS):
                    remote.plug(f"key-{number}")
                kept = self._in_a_program(check_keys)
        finally:
            rack.stop()
        self._check_log()
        self._check_files()
        rack = self._start()  # what is in the files is what was in the rack
        try:
            assert self._in_a_program(check_keys) == kept
            self._in_a_program(check_nobody_is_left)
        finally:
            rack.stop()
        self.report["objects at the end"] = kept
        self.report["calls"] = sum(self._board.record(n)[0] for n in range(self._board.places))
        longest = max(self._board.record(n)[1] for n in range(self._board.places))
        self.report["longest call, ms"] = longest / 1000
        self.report["programs"] = {"begun": self._begun, "killed": self._killed}
        self.report["pulls"] = self._pulls

    def _start(self) -> RackProcess:
        home = self._folder / "rack"
        command = [sys.executable, "-m", "ukey_emulator.rack", str(home), "lasting"]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return RackProcess(home, process, private=False)

    # While it soaks

    def _disturb(self, rack: RackProcess, remote: Any) -> None:
        end = time.monotonic() + self._seconds
        middle = time.monotonic() + self._seconds / 2
        pulled = False
        while time.monotonic() < end and not self._board.stopped:
            for number in range(PROGRAMS):
                if number not in self._children:
                    self._begin_program(number)
            time.sleep(self._random.uniform(0.05, 0.4))
            self._bury()
            if self._random.random() < 0.5:  # every other time
                self._kill()
            if self._random.random() < 0.3:  # the second key, the first one stays
                pulled = not pulled
                (remote.unplug if pulled else remote.plug)("key-1")
                self._pulls += pulled
            if len(self.report["memory"]) == 1 and time.monotonic() > middle:
                self.report["memory"].append(rack_watch.resident_kilobytes(rack))
        self.report["memory"].append(rack_watch.resident_kilobytes(rack))

    def _begin_program(self, number: int) -> None:
        self._begun += 1
        seed = f"{self._seed} {self._begun}"
        child = os.fork()
        if child:
            self._children[number] = child
            return
        try:
            places = list(range(number * THREADS, (number + 1) * THREADS))
            work(self._board, places, number % KEYS, seed, self._complain)
        finally:
            os._exit(0)

    def _kill(self) -> None:
        number = self._random.choice(list(self._children) or [-1])
        child = self._children.pop(number, None)
        if child is not None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            self._killed += 1

    def _bury(self) -> None:
        """Take note of programs that have ended by themselves, which none should."""
        for number, child in list(self._children.items()):
            gone, status = os.waitpid(child, os.WNOHANG)
            if gone:
                del self._children[number]
                if not self._board.stopped:
                    self._complain(f"a program ended with status {status}")

    def _end_programs(self) -> None:
        for _ in range(len(self._children) // 2):
            self._kill()
        self._board.stop()
        for child in self._children.values():
            ended = within(30, lambda child=child: os.waitpid(child, os.WNOHANG)[0])
            if not ended:
                os.kill(child, signal.SIGABRT)
                os.waitpid(child, 0)
                self._complain("a program did not end: one of its calls hangs")
        self._children.clear()

    def _complain(self, what: str) -> None:
        with self._faults.open("a") as faults:
            faults.write(what + "\n")

    def _complaints(self) -> str:
        return self._faults.read_text() if self._faults.exists() else ""

    # Afterwards

    def _check_memory(self) -> None:
        """Once the trace is full, which takes 20,000 calls, the rack grows no more."""
        first, middle, last = self.report["memory"]
        assert last < first + 128 * 1024
        assert self._seconds < 120 or last < middle * 1.1 + 8 * 1024  # minutes

    def _check_log(self) -> None:
        lines = self._log.read_text().splitlines()
        odd = [line for line in lines if not re.match(r"ukey rack: WARNING a program's conn", line)]
        assert odd == []
        self.report["warnings of hung-up programs"] = len(lines)

    def _check_files(self) -> None:
        files = list((self._folder / "rack/keys").glob("*.ukey"))
        assert len(files) == KEYS
        for file in files:
            with sqlite3.connect(file) as opened:
                assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            opened.close()

    def _in_a_program(self, check: Callable[[CProgram], Any]) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            program = CProgram(Path(folder))
        assert program.rv("C_Initialize", None) is CKR.OK
        result = check(program)
        assert program.rv("C_Finalize", None) is CKR.OK
        return result


def token_flags_and_sessions(program: CProgram, slot: int) -> tuple[int, int]:
    info = (ctypes.c_ubyte * 208)()
    assert program.rv("C_GetTokenInfo", slot, info) is CKR.OK
    numbers = (c_ulong * 4).from_buffer_copy(bytes(info)[96:128])
    return numbers[0], numbers[2]


def find(program: CProgram, session: int, **wanted: object) -> list[int]:
    handles, count = (c_ulong * 2000)(), c_ulong()
    assert program.rv("C_FindObjectsInit", session, attributes(**wanted)) is CKR.OK
    assert program.rv("C_FindObjects", session, handles, 2000, byref(count)) is CKR.OK
    assert program.rv("C_FindObjectsFinal", session) is CKR.OK
    return list(handles[: count.value])


def check_keys(program: CProgram) -> list[tuple[int, int]]:
    """Check each key, and give how many objects and pairs it has."""
    return [check_key(program, slot) for slot in range(KEYS)]


def check_key(program: CProgram, slot: int) -> tuple[int, int]:
    """Each object has what its writer gave it, each pair fits, the PIN counter counts."""
    assert token_flags_and_sessions(program, slot)[1] == 0
    session = program.open(slot)
    assert program.rv("C_Logout", session) is CKR.USER_NOT_LOGGED_IN
    assert program.rv("C_Login", session, int(CKU.USER), b"wrong!") is CKR.PIN_INCORRECT
    assert token_flags_and_sessions(program, slot)[0] & COUNT_LOW
    assert program.rv("C_Login", session, int(CKU.USER), PIN) is CKR.OK
    assert not token_flags_and_sessions(program, slot)[0] & COUNT_LOW
    labels = set()
    objects = find(program, session, CLASS=int(CKO.DATA))
    for obj in objects:
        label, version, value = (
            program.read(session, obj, kind) for kind in (CKA.LABEL, CKA.APPLICATION, CKA.VALUE)
        )
        assert value == content(label, version)
        labels.add(label)
    assert len(labels) == len(objects)
    pairs = check_pairs(program, session)
    assert len(find(program, session, TOKEN=True)) >= len(objects) + 2 * pairs
    program.C_CloseSession(session)
    return len(objects), pairs


def check_pairs(program: CProgram, session: int) -> int:
    """There is no half of a pair, and what the one half signs the other verifies."""
    ecdsa, room = Mechanism(CKM.ECDSA, None), Out(asked=True, capacity=64)
    halves: list[dict[bytes, int]] = []
    for kind in (CKO.PRIVATE_KEY, CKO.PUBLIC_KEY):
        found = find(program, session, CLASS=int(kind))
        halves.append({program.read(session, half, CKA.ID): half for half in found})
        assert len(halves[-1]) == len(found)
    private, public = halves
    assert private.keys() == public.keys()
    for ident, half in private.items():
        program.C_SignInit(session, ecdsa, half)
        signature = program.C_Sign(session, bytes(32), room)
        program.C_VerifyInit(session, ecdsa, public[ident])
        assert program.rv("C_Verify", session, bytes(32), signature) is CKR.OK
        query = [Query(CKA.VALUE, 100, None)]
        code = program.rv("C_GetAttributeValue", session, half, query)
        assert code is CKR.ATTRIBUTE_SENSITIVE
    return len(private)


def check_nobody_is_left(program: CProgram) -> None:
    """C_InitToken would find any session of anybody."""
    for slot in range(KEYS):
        assert program.rv("C_InitToken", slot, SO_PIN, ctypes.create_string_buffer(32)) is CKR.OK


def main() -> int:
    """Soak as long as the command line says, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    wanted = parser.parse_args()
    sys.stdout.write(f"seed {wanted.seed}\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), wanted.seconds, wanted.seed)
        try:
            soak.run()
        finally:
            for name, value in soak.report.items():
                sys.stdout.write(f"{name}: {value}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

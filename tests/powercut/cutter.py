"""Play scenes, and cut the power at each step of each: a process to be started with cut.c.

    LD_PRELOAD=cut.so python tests/powercut/cutter.py FOLDER [--group G]... [--seeds N] [--passing]
    LD_PRELOAD=cut.so python tests/powercut/cutter.py FOLDER --broken HOW SCENE...

Each scene is played in children of this process, which is quick. One is left alone and keeps a
journal, from which follows what was to be seen after each answer, and what a disk may have when
the power goes. The others are killed, each at another step. Prints a line for each scene, and
what was found to be wrong; ends with 1 then.
"""

import argparse
import contextlib
import ctypes
import gc
import hashlib
import logging
import os
import pickle
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "ukey_emulator"))

import sabotage  # noqa: E402 - the path comes first
import scenes_card  # noqa: E402
import scenes_pkcs11  # noqa: E402
import scenes_rack  # noqa: E402
from bench import SCENES, Bench, Scene  # noqa: E402
from disk import Disk, Kind, Step, lay_out, read_journal  # noqa: E402
from judging import Told, WrongStateError, counted, difference, judge  # noqa: E402
from state import State, look, seen  # noqa: E402

from ukey_emulator.chip.guard import Guard  # noqa: E402
from ukey_emulator.chip.pins import PinRecord, Role  # noqa: E402
from ukey_emulator.rack.keyring import Keyring  # noqa: E402
from ukey_emulator.slots import Slots  # noqa: E402

_PARTS = (scenes_pkcs11, scenes_card, scenes_rack)  # whose scenes are noted by their import
_shim = ctypes.CDLL(None)


# A scene in a child


class Teller:
    """Tells the journal and a pipe how far a scene has come in this process."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._watching = False
        check, compare = Guard.check, PinRecord.open

        def checked(guard: Guard, role: Role, pin: bytes) -> bytes:
            self._role = role
            return check(guard, role, pin)

        def opened(record: PinRecord, pin: bytes) -> bytes | None:
            if not self._watching:
                return compare(record, pin)
            self.tell(f"compared {self._role.name}")
            master = compare(record, pin)
            if master is not None:
                self.tell(f"right {self._role.name}")
            return master

        Guard.check = checked  # type: ignore[method-assign]
        PinRecord.open = opened  # type: ignore[method-assign]

    def tell(self, word: str) -> None:
        """Tell it."""
        _shim.cut_mark(word.encode())
        os.write(self._pipe, f"{word}\n".encode())

    def answers(self, playing: Iterator[None]) -> Iterator[None]:
        """Go from answer to answer."""
        self._watching = True
        for _ in playing:
            self._watching = False
            self.tell("answer")
            yield
            self._watching = True


def _play(scene: Scene, home: Path, pipe: int, *, lasting: bool, stop: tuple[int, bool]) -> None:
    """Play it in this process, which may not live to its end."""
    teller = Teller(pipe)
    bench = Bench(home, lasting=lasting)
    playing = scene.act(bench)
    next(playing)
    teller.tell("answer")
    views = [seen(bench.keyring) if bench.opened else None]
    _shim.cut_at(*stop)
    undisturbed = not stop[0]
    for _ in teller.answers(playing):
        views += [seen(bench.keyring)] if undisturbed else []
    bench.keyring.close()
    if undisturbed:
        home.with_suffix(".views").write_bytes(pickle.dumps(views))


# All cuts of a scene


@dataclass
class Cutting:
    """The cuts of one scene, counted; `faults` says what was wrong, and where."""

    scene: Scene
    folder: Path
    lasting: bool
    seeds: int
    broken: str | None
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS, 0))
    faults: list[str] = field(default_factory=list)
    _looked: dict[bytes, State] = field(default_factory=dict)

    def run(self) -> None:
        """Make all of them."""
        self.folder.mkdir()
        self._base = self.folder / "base"
        made = self.folder / "made"
        lay_out({}, made)
        keyring = Keyring(made / "keys", Slots(), lasting=False)
        self.scene.make(keyring)
        if self.scene.crashed:
            shutil.copytree(made, self._base)
        keyring.close()
        if not self.scene.crashed:
            shutil.copytree(made, self._base)
        try:
            self._undisturbed()
        except WrongStateError as wrong:
            self.faults.append(f"undisturbed: {wrong}")
            return
        self._kill(torn=False)
        self._kill(torn=True)
        shutil.rmtree(self.folder)

    def tell(self) -> None:
        """Print what came out."""
        counts = ", ".join(f"{count} {way}" for way, count in self.counts.items())
        lines = [f"{self.scene.name}: {counts}", *(f"  WRONG {fault}" for fault in self.faults)]
        if len(self.faults) > _SHOWN:
            lines[1 + _SHOWN :] = [f"  WRONG in {len(self.faults)} places"]
        print("\n".join(lines), flush=True)  # noqa: T201 - what it is for

    def _undisturbed(self) -> None:
        """Play it to its end, then judge what each step leaves on a disk that loses its power."""
        home = self.folder / "whole"
        shutil.copytree(self._base, home)
        self._in_child(home, (0, False), journal=True)
        steps = read_journal(home.with_suffix(".journal"))
        disk = Disk(self._base)
        kept: list[dict[str, bytes]] = []
        for step in steps:
            disk.do(step)
            if step.kind is Kind.MARK and step.path == "answer":
                kept.append(disk.kept())
        files = {
            str(path.relative_to(home)): path.read_bytes()
            for path in home.rglob("*")
            if path.is_file()
        }
        if files != disk.kept():
            raise WrongStateError("the journal tells of another folder: cut.c lacks a call")
        self._states = [self._look(files) for files in kept]
        views = pickle.loads(home.with_suffix(".views").read_bytes())  # noqa: S301 - our own
        for view, state in zip(views, self._states, strict=True):
            if view is None:
                continue
            plugged = State({name: state.keys[name] for name in view.keys})
            if wrong := difference(view, plugged, None):
                raise WrongStateError(f"what programs saw is not in the file: {wrong}")
            if wrong := counted(plugged, view, Told()):
                raise WrongStateError(f"what programs saw is not in the file: {wrong}")
        if self.scene.changes == (self._states[0] == self._states[-1]):
            raise WrongStateError("the scene changes nothing, or what it must not")
        if self.lasting:
            self._cut_power(steps)

    def _cut_power(self, steps: list[Step]) -> None:
        disk, told = Disk(self._base), Told()
        for number, step in enumerate(steps):
            disk.do(step)
            if step.kind is Kind.MARK:
                told.hear(step.path)
            if told.answers < 0:
                continue
            for way, files in disk.cuts(self.seeds, f"{self.scene.name} {number}"):
                self.counts["power"] += 1
                where = f"power, {way}, after step {number} ({step.kind.name} {step.path})"
                self._judge(where, told, partial(self._look, files), exact=True)

    def _kill(self, *, torn: bool) -> None:
        way = "torn" if torn else "killed"
        for number in range(1, 10_000):
            home = self.folder / "home"
            shutil.copytree(self._base, home)
            stop = (number, torn)
            try:
                killed, told = self._in_child(home, stop)
            except WrongStateError as wrong:
                self.faults.append(f"{way} at {number}: {wrong}")
                return
            self._judge(f"{way} at {number}", told, lambda: look(home), exact=False)  # noqa: B023 - called at once
            shutil.rmtree(home)
            if not killed:
                break
            self.counts[way] += 1

    def _in_child(
        self, home: Path, stop: tuple[int, bool], *, journal: bool = False
    ) -> tuple[bool, Told]:
        """Play it in a child; give whether it was killed, and what it told.

        WrongStateError if it failed.
        """
        source, sink = os.pipe()
        child = os.fork()
        if not child:
            code = 1
            with contextlib.suppress(BaseException):
                try:
                    os.close(source)
                    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
                    file = os.open(home.with_suffix(".journal"), flags) if journal else -1
                    _shim.cut_watch(str(home).encode(), file)
                    if self.broken:
                        sabotage.ALL[self.broken]()
                    _play(self.scene, home, sink, lasting=self.lasting, stop=stop)
                    code = 0
                except BaseException:  # noqa: BLE001 - whatever it is, it ends this child
                    traceback.print_exc()
                sys.stderr.flush()
            os._exit(code)
        os.close(sink)
        with os.fdopen(source) as pipe:
            words = pipe.read().splitlines()
        status = os.waitpid(child, 0)[1]
        told = Told()
        for word in words:
            told.hear(word)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if status and not killed:
            raise WrongStateError(f"the scene failed with status {status}")
        return killed, told

    def _look(self, files: dict[str, bytes]) -> State:
        """See what is in files; many cuts leave the same."""
        name = hashlib.sha256()
        for path, content in sorted(files.items()):
            name.update(b"%d %d" % (len(path), len(content)) + path.encode() + content)
        if name.digest() not in self._looked:
            place = self.folder / "looked"
            lay_out(files, place)
            try:
                self._looked[name.digest()] = look(place)
            finally:
                shutil.rmtree(place)
        return self._looked[name.digest()]

    def _judge(self, where: str, told: Told, looked: Callable[[], State], *, exact: bool) -> None:
        try:
            judge(looked(), told, self._states, exact=exact)
        except Exception as wrong:  # noqa: BLE001 - whatever goes wrong is told with its place
            self.faults.append(f"{where}: {type(wrong).__name__}: {wrong}")


WAYS = ("killed", "torn", "power")
_SHOWN = 5  # faults of one scene


def main() -> int:
    """Do what the arguments say; see above."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--group", action="append")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--passing", action="store_true")
    parser.add_argument("--broken", nargs=2, action="append", metavar=("HOW", "SCENE"))
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    logging.disable()
    gc.freeze()
    named = {scene.name: scene for scene in SCENES}
    chosen = [scene for scene in SCENES if asked.group is None or scene.group in asked.group]
    tasks: list[tuple[Scene, str | None]] = [(scene, None) for scene in chosen]
    if asked.broken:
        tasks = [(named[scene], how) for how, scene in asked.broken]
    wrong = False
    for number, (scene, how) in enumerate(tasks):
        cutting = Cutting(scene, folder / str(number), not asked.passing, asked.seeds, how)
        cutting.run()
        cutting.tell()
        wrong |= bool(cutting.faults)
    return wrong


if __name__ == "__main__":
    sys.exit(main())

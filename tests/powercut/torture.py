"""Cut the power of a key and pull it out, at random, for as long as you like.

    python tests/powercut/torture.py [--seed N] [--minutes M]

A program does what programs do, through our module; the rack that serves its key is killed at some
write, between two or in the middle of one, and what nobody waited for is lost from its disk, in
part or wholly; or the key is pulled out in the middle of a call. After each the file is looked at:
it has to hold what the program was told of, at most with what was under way, and the PIN has no
more tries than before. The dice are those of the seed; when exactly a key is pulled is not.
"""

import argparse
import os
import random
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from ctypes import byref, c_ulong
from dataclasses import dataclass, field, replace
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "ukey_emulator")]

from c_program import CProgram, memory  # noqa: E402 - the path comes first
from disk import Disk, read_journal  # noqa: E402
from hosting import Host  # noqa: E402
from program import P256, SO_PIN, attributes  # noqa: E402
from shim import compiled  # noqa: E402
from state import PINS, KeyState, look  # noqa: E402

from ukey_emulator.chip import Role  # noqa: E402
from ukey_emulator.cryptoki.wire import Mechanism  # noqa: E402
from ukey_emulator.rack.keyring import Keyring  # noqa: E402
from ukey_emulator.remote import Remote, RemoteError  # noqa: E402
from ukey_emulator.slots import Slots  # noqa: E402
from ukey_emulator.terms import CKA, CKF, CKM, CKO, CKR, CKU  # noqa: E402

TRIES, MOST_OBJECTS = 5, 12
_GONE = {
    CKR.DEVICE_REMOVED,
    CKR.SESSION_HANDLE_INVALID,
    CKR.SLOT_ID_INVALID,
    CKR.TOKEN_NOT_PRESENT,
    CKR.USER_NOT_LOGGED_IN,  # the key was out and is in again
    CKR.KEY_HANDLE_INVALID,
    CKR.OBJECT_HANDLE_INVALID,
}


class CutError(Exception):
    """A call that did not come to its end."""


@dataclass(frozen=True)
class Model:
    """What the key holds: labels of objects, each once; the PIN, b"" for none; its tries left."""

    labels: frozenset[str] = frozenset()
    pin: bytes = PINS[Role.USER][0]
    tries: int = TRIES


@dataclass
class Torture:
    """One run; `report` counts what was done."""

    folder: Path
    seed: int
    broken: tuple[str, ...] = ()
    report: Counter[str] = field(default_factory=Counter)

    def run(self, seconds: float) -> None:
        """Torture a key; AssertionError says what is wrong."""
        self._dice = random.Random(self.seed)  # noqa: S311 - it is repeated by its seed
        self._home = self.folder / "home"
        self._home.mkdir(mode=0o700)
        keyring = Keyring(self._home / "keys", Slots())
        keyring.new(name="key", label="torture", tries=TRIES)
        keyring.close()
        os.environ["UKEY_HOME"] = str(self._home)
        self._program = CProgram(self.folder)
        self._sure = self._doubt = Model()
        self._number = 0
        host = Host(compiled(self.folder), *self.broken)
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end or not self.report["cuts"]:
                self._live(host)
        finally:
            host.stop()

    def _live(self, host: Host) -> None:
        """Serve the key until its power is cut."""
        self.report["lives"] += 1
        begun, journal = self.folder / "begun", self.folder / "journal"
        shutil.rmtree(begun, ignore_errors=True)
        self._copy(begun)
        stop = [self._dice.randint(1, 80), self._dice.random() < 0.3]
        ready = host.ask(rack=str(self._home), stop=stop, journal=str(journal))
        assert ready == "ready", f"the rack does not start any more: {ready!r}"
        self._program.C_Initialize(None)
        try:
            for _ in range(30):
                self._step()
        except CutError:
            pass
        finally:
            cut = host.ask(end=True) == "killed"
            self._program.rv("C_Finalize", None)
        self.report["cuts" if cut else "cuts at rest"] += 1
        self._lose(begun, journal)
        self._settle("after a cut")

    def _copy(self, place: Path) -> None:
        for part in ("keys", "snapshots"):
            shutil.copytree(self._home / part, place / part)

    def _lose(self, begun: Path, journal: Path) -> None:
        """Have the disk lose what a power cut may cost it."""
        disk = Disk(begun)
        for step in read_journal(journal):
            disk.do(step)
        seed = f"{self.seed} {self.report['lives']}"
        way = self._dice.choice((disk.kept, disk.lost, lambda: disk.torn(seed)))
        for part in ("keys", "snapshots"):
            shutil.rmtree(self._home / part)
            (self._home / part).mkdir(mode=0o700)
        for name, content in way().items():
            if name.startswith(("keys/", "snapshots/")):
                (self._home / name).write_bytes(content)

    def _settle(self, where: str) -> None:
        """Look at what is in the file, and go on with that."""
        place = self.folder / "looked"
        self._copy(place)
        try:
            found = look(place).keys["key"]
        finally:
            shutil.rmtree(place)
        left, _ = found.pins.get(Role.USER, (0, 0))
        pin = found.opens[Role.USER] or b""
        labels = _labels(found) if left else None
        told = f"{where}: {left} tries, PIN {pin!r}, {labels}; {self._sure}, or {self._doubt}"
        fitting = [
            each
            for each in (self._sure, self._doubt)
            if pin == each.pin
            and labels in (each.labels, None)
            and each.tries - 1 <= left <= each.tries
        ]
        assert fitting, told
        self._sure = Model(fitting[0].labels if labels is None else labels, pin, left)
        self._doubt = self._sure

    # What the program does

    def _step(self) -> None:
        acts: list[Callable[[], None]] = [self._wrong_pin, self._change_pin, self._unblock]
        acts += [self._destroy, self._rename]
        if len(self._sure.labels) < MOST_OBJECTS:
            acts += [self._create, self._create, self._generate]
        else:
            acts = [self._initialise]
        act = self._dice.choice(acts if self._sure.tries else [self._unblock])
        pull = self._dice.random() < 0.15  # now and then
        puller = threading.Thread(target=self._pull, args=(self._dice.uniform(0, 0.005),))
        if pull:
            puller.start()
        try:
            act()
            self.report[act.__name__.strip("_")] += 1
            self._program.rv("C_CloseAllSessions", 0)
        except CutError:
            if not pull:
                raise
        finally:
            if pull:
                puller.join()
        if pull:
            self.report["pulls"] += 1
            self._program.rv("C_CloseAllSessions", 0)
            self._settle("after a pull")

    def _pull(self, delay: float) -> None:
        """Pull the key out, and plug it in again."""
        time.sleep(delay)
        try:
            with Remote(self._home) as remote:
                remote.unplug("key")
                remote.plug("key")
        except RemoteError:
            pass  # the rack was cut meanwhile

    def _call(self, becomes: Model, name: str, *arguments: object, gives: CKR = CKR.OK) -> object:
        """Call; the model becomes another one when it is answered for, and may before."""
        self._doubt = becomes
        code, results = self._program._called(name, arguments)
        if code in _GONE:
            raise CutError
        assert code == gives, f"{name} gave CKR_{code.name}"
        self._sure = becomes
        return results[0] if results else None

    def _open(self, user: CKU | None = CKU.USER) -> int:
        handle, flags = c_ulong(), CKF.SERIAL_SESSION | CKF.RW_SESSION
        self._call(self._sure, "C_OpenSession", 0, int(flags), None, None, byref(handle))
        session = handle.value
        if user is CKU.SO:
            self._call(self._sure, "C_Login", session, int(user), SO_PIN)
        elif user is CKU.USER:
            fresh = replace(self._sure, tries=TRIES)
            self._call(fresh, "C_Login", session, int(user), self._sure.pin)
        return session

    def _wrong_pin(self) -> None:
        session = self._open(None)
        less = replace(self._sure, tries=self._sure.tries - 1)
        wrong = b"000000"
        self._call(less, "C_Login", session, int(CKU.USER), wrong, gives=CKR.PIN_INCORRECT)

    def _change_pin(self) -> None:
        session = self._open()
        new = self._dice.choice(PINS[Role.USER])
        self._call(replace(self._sure, pin=new), "C_SetPIN", session, self._sure.pin, new)

    def _unblock(self) -> None:
        session = self._open(CKU.SO)
        new = self._dice.choice(PINS[Role.USER])
        self._call(replace(self._sure, pin=new, tries=TRIES), "C_InitPIN", session, new)

    def _initialise(self) -> None:
        """Wipe the token; it has no PIN until it is unblocked."""
        label = memory(b"torture".ljust(32))
        self._call(Model(frozenset(), b"", 0), "C_InitToken", 0, SO_PIN, label)

    def _create(self) -> None:
        session, label = self._open(), self._label("data")
        wanted = attributes(
            CLASS=int(CKO.DATA),
            TOKEN=True,
            PRIVATE=self._dice.random() < 0.5,  # as likely as not
            LABEL=label,
            VALUE=self._dice.randbytes(self._dice.choice((10, 1000, 20_000))),
        )
        self._call(self._with(label), "C_CreateObject", session, wanted, True)

    def _generate(self) -> None:
        session, label = self._open(), self._label("pair")
        halves = {"TOKEN": True, "LABEL": label}
        self._call(
            self._with(label),
            "C_GenerateKeyPair",
            session,
            Mechanism(CKM.EC_KEY_PAIR_GEN, None),
            attributes(**halves, EC_PARAMS=P256, VERIFY=True),
            attributes(**halves, PRIVATE=True, SIGN=True),
            True,
            True,
        )

    def _destroy(self) -> None:
        session = self._open()
        obj, label = self._any(session)
        if obj is not None:
            less = replace(self._sure, labels=self._sure.labels - {label})
            self._call(less, "C_DestroyObject", session, obj)

    def _rename(self) -> None:
        session = self._open()
        obj, label = self._any(session)
        if obj is not None:
            new = self._label("data")
            other = replace(self._sure, labels=self._sure.labels - {label} | {new})
            self._call(other, "C_SetAttributeValue", session, obj, attributes(LABEL=new))

    def _any(self, session: int) -> tuple[int | None, str]:
        """Choose a data object; None if there is none."""
        data = sorted(each for each in self._sure.labels if each.startswith("data"))
        if not data:
            return None, ""
        label = self._dice.choice(data)
        self._call(self._sure, "C_FindObjectsInit", session, attributes(LABEL=label))
        found, count = (c_ulong * 2)(), c_ulong()
        self._call(self._sure, "C_FindObjects", session, found, c_ulong(2), byref(count))
        self._call(self._sure, "C_FindObjectsFinal", session)
        assert count.value == 1, f"{count.value} objects {label}"
        return found[0], label

    def _label(self, kind: str) -> str:
        self._number += 1
        return f"{kind} {self._number}"

    def _with(self, label: str) -> Model:
        return replace(self._sure, labels=self._sure.labels | {label})


def _labels(state: KeyState) -> frozenset[str]:
    """Give the labels of all objects; of a pair both halves are there."""
    halves: Counter[str] = Counter()
    for each in (*state.public.values(), *(state.private or {}).values()):
        label = each[CKA.LABEL].decode()
        halves[label] += 2 if each[CKA.CLASS] == bytes(8) else 1
    assert set(halves.values()) <= {2}, f"half a pair: {halves}"
    return frozenset(halves)


def main() -> None:
    """Do what the arguments say, and tell what was done."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--minutes", type=float, default=1)
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)  # noqa: T201 - for who has to repeat it
    with tempfile.TemporaryDirectory() as folder:
        torture = Torture(Path(folder).resolve(), asked.seed)
        try:
            torture.run(asked.minutes * 60)
        finally:
            print(dict(torture.report))  # noqa: T201 - the same


if __name__ == "__main__":
    main()

"""What the sequences run against: a fresh token for each, and programs that share it."""

import shutil
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from applications import Fell, Program
from standard.operations import KEYS
from standard.state import Application, Object, Pin, Traits, World
from standard.values import Cell, words

from ukey_emulator import module_path
from ukey_emulator.remote import RackProcess

PROGRAMS = 2
SO_PIN, USER_PIN = b"12345678", b"123456"
LABEL = "stateful"
TRIES = 3
_NAMES = [*KEYS, "SHA256", "AES_KEY_GEN", "GENERIC_SECRET_KEY_GEN", "EC_KEY_PAIR_GEN"]
_DUAL = 0x200


class Device:
    """A module with a token that can be had fresh; a context manager."""

    name: ClassVar[str]
    tries: ClassVar[int | None]
    without: ClassVar[frozenset[str]] = frozenset()
    sees_others: ClassVar[bool] = True

    def __init__(self, home: Path, module: str, environment: dict[str, str]) -> None:
        self.home = home
        self.module = module
        self.environment = environment
        self.programs: list[Program] = []
        self._mechanisms: dict[str, int] | None = None
        self._version = (0, 0)

    def __enter__(self) -> Self:
        self.programs = [Program(self.module, self.environment) for _ in range(PROGRAMS)]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for program in self.programs:
            program.close()

    def renew(self) -> None:
        """Put a fresh token there, while no program is initialised."""
        raise NotImplementedError

    def fresh(self) -> World:
        """Begin anew: a fresh token, programs that have just initialised; return its model."""
        self.rest()
        self.renew()
        for program in self.programs:
            program.ask("begin")
        first = self.programs[0]
        slot, seen = next(
            (slot, seen) for slot, seen in first.ask("slots") if seen["label"].rstrip() == LABEL
        )
        for program in self.programs[1:]:
            program.ask("slots")
        if self._mechanisms is None:
            self._mechanisms = first.ask("mechanisms", slot, _NAMES)
            self._version = first.ask("version")
        traits = Traits(
            slot=slot,
            tries=self.tries,
            pin_lengths=(seen["ulMinPinLen"], seen["ulMaxPinLen"]),
            version=self._version,
            dual=bool(seen["flags"] & _DUAL),
            mechanisms=self._mechanisms,
            without=self.without,
            sees_others=self.sees_others,
        )
        programs = [Application() for _ in self.programs]
        world = World(traits, Pin(SO_PIN), Pin(USER_PIN), LABEL, programs)
        world.objects += self._built_in(slot)
        return world

    def _built_in(self, slot: int) -> list[Object]:
        """Return the objects that are on a fresh token."""
        first = self.programs[0]
        session = first.ask("call", "OpenSession", (slot, 6, None, None, Cell())).written[0]
        seen = first.ask("look", slot, [session])["objects"]
        first.ask("call", "CloseSession", (session,))
        fixed = {"TOKEN": True, "PRIVATE": False}
        return [
            Object({**fixed, "CLASS": kind, "LABEL": label}, built_in=True)
            for _, (label, kind) in seen
        ]

    def rest(self) -> None:
        """Let all programs finalise; one that cannot is replaced."""
        for program in self.programs:
            try:
                program.ask("end")
            except Fell:
                program.close()


class Emulated(Device):
    """Our module on a rack of its own, with keys that are locked after few tries."""

    name = "emulated"
    tries = TRIES

    def __init__(
        self, home: Path, module: str = "", environment: dict[str, str] | None = None
    ) -> None:
        self._rack = RackProcess.start(home)
        self._remote = self._rack.remote()
        self._key = ""
        super().__init__(home, module or str(module_path()), {"UKEY_HOME": str(home)})
        self.environment |= environment or {}

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._remote.close()
        self._rack.stop()

    def renew(self) -> None:
        if self._key:
            self._remote.remove(self._key)
        pins = {"pin": USER_PIN.decode(), "so_pin": SO_PIN.decode()}
        self._key = self._remote.new_key(label=LABEL, tries=TRIES, **pins).name


class SoftHsm(Device):
    """SoftHSM2 with a folder of its own; its PINs have no limit of tries.

    It has no version 3, cannot save operations, recovers nothing, and one program does not know of
    the sessions of another.
    """

    name = "softhsm2"
    tries = None
    sees_others = False
    without = frozenset(
        {
            *(words("GetOperationState SetOperationState SignRecoverInit SignRecover")),
            *(words("VerifyRecoverInit VerifyRecover DigestEncryptUpdate DecryptDigestUpdate")),
            *(words("SignEncryptUpdate DecryptVerifyUpdate")),
        }
    )

    def __init__(self, home: Path, module: str) -> None:
        self._tokens = home / "tokens"
        self._template = home / "template"
        conf = home / "softhsm2.conf"
        conf.write_text(
            f"directories.tokendir = {self._tokens}\nobjectstore.backend = file\n"
            "log.level = ERROR\nslots.removable = false\n"
        )
        super().__init__(home, module, {"SOFTHSM2_CONF": str(conf)})

    def renew(self) -> None:
        if not self._template.exists():
            self._template.mkdir()
            self._tokens.mkdir()
            self._make()
            shutil.copytree(self._tokens, self._template, dirs_exist_ok=True)
        shutil.rmtree(self._tokens)
        shutil.copytree(self._template, self._tokens)

    def _make(self) -> None:
        maker = Program(self.module, self.environment)
        try:
            maker.ask("begin")
            slot = maker.ask("slots")[0][0]
            maker.ask("call", "InitToken", (slot, SO_PIN, LABEL.encode()))
            slot = next(s for s, seen in maker.ask("slots") if seen["label"].rstrip() == LABEL)
            opened = maker.ask("call", "OpenSession", (slot, 6, None, None, Cell()))
            session = opened.written[0]
            maker.ask("call", "Login", (session, 0, SO_PIN))
            maker.ask("call", "InitPIN", (session, USER_PIN))
            maker.ask("end")
        finally:
            maker.close()

"""The stage of one scenario: the device, the holder's workplace, the world, what has happened."""

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cryptography import x509

from ukey_harness.steps.workplace import Desk, Outcome, Program
from ukey_harness.verdicts.unmet import Unmet

if TYPE_CHECKING:
    from ukey_harness.device.port import Device
    from ukey_harness.steps.browser import Browser
    from ukey_harness.world import World
    from ukey_harness.world.units import Unit

# Frames of tables: one column each in a report's font, where the line-drawing signs may take two.
FRAMES = str.maketrans("━─┃│┏┳┓┡╇┩┌┬┐├┼┤└┴┘", "--||+++++++++++++++")
PASSWORD = "Laozhanghao-2024"  # noqa: S105 - the made-up old account of a made-up unit


class StageError(Exception):
    """The stage itself failed: what a scenario presumes could not be set up."""


class Worlds(Protocol):
    """Keeps a world for scenario after scenario."""

    def current(self) -> "World":
        """Return the world that runs, a new one when there is none."""
        ...

    def spoil(self) -> None:
        """Say that the next scenario must have a new world (the clock was turned…)."""
        ...

    def next_unit(self) -> "Unit":
        """Return a unit that no scenario has had."""
        ...

    @property
    def folder(self) -> Path:
        """The home of the world that runs."""
        ...


class Stage:
    """What steps act on. The device is seen only through its port."""

    def __init__(
        self, device: "Device", desk: Desk, worlds: Worlds, note: Callable[[str], None]
    ) -> None:
        self.device = device
        self.desk = desk
        self.worlds = worlds
        self.note = note
        self.closing = ExitStack()
        self._folder = tempfile.TemporaryDirectory(prefix="ukey-stage-")
        self.folder = Path(self._folder.name)
        self.unit: Unit = worlds.next_unit()
        self.other_unit: Unit | None = None
        self.certificate: x509.Certificate | None = None
        self.earlier_certificate: x509.Certificate | None = None
        self.last: Outcome | None = None
        self.settings: dict[str, str] = {}  # what the holder's programs find in the environment
        self.memory: dict[str, Any] = {}  # what one step leaves for a later one
        self.largest_file = (
            0  # bytes that a program may write into one file; 0: as many as it likes
        )
        self._browser: Browser | None = None
        self._mark = 0

    @property
    def world(self) -> "World":
        """CA, portal and clock."""
        return self.worlds.current()

    @property
    def user(self) -> str:
        """The user name of the unit's old account."""
        return f"dw{self.unit.number}"

    @property
    def browser(self) -> "Browser":
        """The holder's browser on the portal."""
        if self._browser is None:
            from ukey_harness.steps.browser import Browser  # noqa: PLC0415 - HTTP only when wanted

            self._browser = Browser(self.world.portal_url, self.device.home / "client")
            self.closing.callback(self._browser.close)
        return self._browser

    @property
    def environment(self) -> Mapping[str, str]:
        """What the holder's programs find in their environment."""
        return {
            **self.device.environment,
            **self.device.way,
            "UKEY_PORTAL": self.world.portal_url,
            "UKEY_CA": self.world.ca_url,
            **self.settings,
        }

    def ukey(self, *argv: str, typed: str = "") -> Outcome:
        """Run `ukey` as the holder does and keep its outcome as the last one."""
        self._mark = self.device.look()
        self.last = self.desk.run(
            argv, self.environment, typed=typed, largest_file=self.largest_file
        )
        self._take_down(self.last)
        return self.last

    def start_ukey(self, *argv: str) -> Program:
        """Start `ukey` and come back at once; `finish` takes its outcome."""
        self._mark = self.device.look()
        return self.desk.start(argv, self.environment)

    def finish(self, program: Program, *, cut: bool = False) -> Outcome:
        """Wait for the end of a program and keep its outcome; cut: its power is cut somewhere."""
        self.last = program.wait()
        self._take_down(self.last, cut=cut)
        return self.last

    def calls_of_last(self) -> list[str]:
        """Return the functions that the holder's last command has called on the key."""
        if self.device.shortfalls:
            raise StageError("；".join(self.device.shortfalls))
        self.device.look()
        return [call.function for call in self.device.history[self._mark :]]

    def errand(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do an errand (see `errands`) at the workplace; StageError where it fails."""
        outcome = self.desk.run(
            (name,),
            self.environment,
            typed=json.dumps(request),
            entry=f"ukey_harness.steps.errands:{name}",
        )
        try:
            answer: dict[str, Any] = json.loads(outcome.out)
        except ValueError:
            raise StageError(
                f"{name} ended with {outcome.code}: {outcome.said or 'no word'}"
            ) from None
        if "error" in answer:
            raise StageError(f"{name}: {answer['error']}")
        return answer

    def provision(
        self,
        unit: "Unit | None" = None,
        *,
        key: str = "rsa2048",
        valid_days: int = 365,
        not_before: datetime | None = None,
    ) -> x509.Certificate:
        """Have the counter put a certificate and a seal on the key that is plugged in."""
        answer = self.errand(
            "provision",
            {
                "folder": str(self.worlds.folder / "world" / "ca"),
                "ca_url": self.world.ca_url,
                "now": self.world.clock.now().isoformat(),
                "module": self.device.module,
                "label": self.device.label,
                "pin": self.device.pin,
                "reader": self.device.reader if self.device.is_card else None,
                "unit": asdict(unit or self.unit),
                "key": key,
                "valid_days": valid_days,
                "not_before": None if not_before is None else not_before.isoformat(),
            },
        )
        return x509.load_pem_x509_certificate(answer["certificate"].encode())

    @property
    def outcome(self) -> Outcome:
        """The outcome of the holder's last command."""
        if self.last is None:
            raise StageError("no command was run yet")
        return self.last

    def file(self, name: str) -> Path:
        """Return a path in the holder's folder."""
        return self.folder / name

    def close(self) -> None:
        """Clear the stage."""
        self.closing.close()
        self._folder.cleanup()

    def _take_down(self, outcome: Outcome, *, cut: bool = False) -> None:
        said = outcome.said
        shown = "" if "--json" in outcome.argv and outcome.code == 0 else said
        self.note(
            f"$ ukey {' '.join(outcome.argv)}  → {outcome.code}\n{shown}".rstrip().translate(FRAMES)
        )
        if "Traceback (most recent call last)" in said or (outcome.code < 0 and not cut):
            raise Unmet("程序给出清楚的提示后退出", f"程序异常退出（{outcome.code}）", said)

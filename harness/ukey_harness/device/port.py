"""The port through which scenarios see a device, whatever it is."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ukey_harness.device.capability import Findings, weigh
from ukey_harness.device.claim import DeviceFile
from ukey_harness.device.examiner import ask
from ukey_harness.verdicts.record import Call, CapabilityRecord, DeviceRecord

TRIAL_LIMIT = 20


class Device(ABC):
    """A device under test: open it, ask for a fresh key, plug it in and take it out.

    module, reader, label, serial, pin, so_pin, management describe the key that is there now;
    environment is what a program that uses it needs (UKEY_HOME is always in it: programs keep their
    files there).
    """

    def __init__(self, file: DeviceFile, home: Path) -> None:
        self.file = file
        self.home = home
        self.module = file.module
        self.reader = file.reader
        self.label = ""
        self.serial = ""
        self.pin = file.pins.user
        self.so_pin = file.pins.so
        self.management = file.pins.management
        self.environment: dict[str, str] = {"UKEY_HOME": str(home), **file.environment}
        self.measured: dict[str, Any] = {}
        self.findings = Findings()
        self.shortfalls: list[str] = []  # what the record cannot show, in the reader's words
        self.history: list[Call] = []  # every call that was seen since the device was opened
        self._told = 0

    @property
    def capabilities(self) -> Mapping[str, CapabilityRecord]:
        """What the device can do, with reasons; filled by `open`."""
        return self.findings.capabilities

    def open(self) -> Self:
        """Make the device ready: a first key, looked at and, if it can be made anew, tried."""
        self.start()
        self.fresh()
        self.measured = self.ask("examine")
        if self.renewable:
            self.measured["lock_trial"] = self.ask("lock_trial", pin=self.pin, most=TRIAL_LIMIT)
            self.fresh()
        self.findings = weigh(self.file, self.measured, operator=self.has_operator)
        return self

    @property
    def renewable(self) -> bool:
        """Whether keys of this device can be made anew without regret."""
        return not self.file.is_real

    @property
    def has_operator(self) -> bool:
        """Whether somebody or something can plug and unplug the key."""
        return True

    @property
    def way(self) -> Mapping[str, str]:
        """What the holder's programs are told of the way to the key, in their environment."""
        return {"PKCS11_MODULE": self.module, "UKEY_TOKEN": f"pkcs11:serial={self.serial}"}

    @property
    def is_card(self) -> bool:
        """Whether the holder uses the key as a PIV card: then the counter writes for that."""
        return False

    def start(self) -> None:  # noqa: B027 - most devices need nothing
        """Start what the device needs before its first key."""

    @abstractmethod
    def fresh(self) -> None:
        """Put a key there as it comes from the factory: initialised, empty, with its first PIN."""

    @abstractmethod
    def plug_in(self) -> None:
        """Plug the key in."""

    @abstractmethod
    def take_out(self) -> None:
        """Take the key out."""

    @abstractmethod
    def new_calls(self) -> Sequence[Call]:
        """Read the calls that have reached the device since the last time."""

    def look(self) -> int:
        """Bring the history up to date and return its length."""
        self.history.extend(self.new_calls())
        return len(self.history)

    def calls(self) -> Sequence[Call]:
        """Return the calls since the last time this was asked: what the record takes down."""
        begin, self._told = self._told, self.look()
        return self.history[begin:]

    def close(self) -> None:
        """Leave the device as it should be left, then release it."""
        self.release()

    def release(self) -> None:
        """End what was started for the device and remove its files."""
        shutil.rmtree(self.home, ignore_errors=True)

    def ask(self, verb: str, **more: str | int) -> dict[str, Any]:
        """Put a request to the examiner about the key that is there now."""
        request = {
            "verb": verb,
            "module": self.file.module or self.module,
            "label": self.label,
            "serial": self.serial,
            **more,
        }
        return ask(request, self.environment)

    def unblock(self, pin: str) -> None:
        """Set the user PIN with the SO PIN, as the counter does."""
        self.ask("unblock", so_pin=self.so_pin, pin=pin)

    def record(self) -> DeviceRecord:
        """Return the device as the run record describes it."""
        claims = self.file.claims
        return DeviceRecord(
            name=self.file.name,
            kind=self.file.kind,
            claimed={
                "file": self.file.path,
                "vendor": self.file.vendor,
                "model": self.file.model,
                "serial": self.file.serial,
                "removable": claims.removable,
                "locks_after": claims.locks_after,
                "tells_tries": claims.tells_tries,
                "unblocks": claims.unblocks,
            },
            measured=self.measured,
            capabilities=list(self.capabilities.values()),
            discrepancies=[*self.findings.discrepancies, *self.shortfalls],
        )

    def __enter__(self) -> Self:
        try:
            return self.open()
        except BaseException:
            self.release()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

"""A vendor's module with a real key: touched only when its serial number is named.

It is erased only with its owner's consent in the device file, before each scenario and at the end;
the last try of its PIN is never spent.
"""

import os
import shutil
from pathlib import Path

from ukey_harness.device.claim import DeviceFile
from ukey_harness.device.examiner import DeviceError
from ukey_harness.device.operator import HumanOperator
from ukey_harness.device.port import Device
from ukey_harness.device.recording import Recording
from ukey_harness.verdicts.record import Call

LABEL = "ukeylab-test"


class ForeignDevice(Device):
    """A key that we have not made."""

    def __init__(self, file: DeviceFile, home: Path, operator: HumanOperator | None = None) -> None:
        super().__init__(file, home)
        self._operator = operator or HumanOperator()
        self._recording = Recording(file.module, home)
        self.serial = file.serial
        if file.may_erase:
            self.pin = _secret(file.pins.user_env, "the user PIN to set")
            self.so_pin = _secret(file.pins.so_env, "the key's SO PIN")
            self.label = LABEL

    @property
    def has_operator(self) -> bool:
        """Whether there is a terminal on which a person can be asked."""
        return self._operator.there

    def start(self) -> None:
        """See that the key with the named serial number is there."""
        self.module = self._recording.module
        self.shortfalls = [self._recording.missing] if self._recording.missing else []
        if not Path(self.file.module).is_file():
            raise DeviceError(f"{self.file.module} is not there: check device.module")
        if not self._present():
            raise DeviceError(
                f"no key with serial number {self.serial} in {self.file.module}: "
                "plug it in, or name another serial number in the device file"
            )

    def fresh(self) -> None:
        """Initialise the key anew, where its owner consents; leave it alone otherwise."""
        self.look()
        self.environment |= self._recording.begin()
        shutil.rmtree(self.home / "client", ignore_errors=True)
        if not self.file.may_erase:
            return
        self.plug_in()
        self.ask("initialise", so_pin=self.so_pin, pin=self.pin)

    def plug_in(self) -> None:
        """Ask for the key to be plugged in, unless it is."""
        if not self._present():
            self._operator.ask(f"请插入序列号 {self.serial} 的钥匙", self._present)

    def take_out(self) -> None:
        """Ask for the key to be taken out."""
        self._operator.ask(f"请拔出序列号 {self.serial} 的钥匙", lambda: not self._present())

    def new_calls(self) -> list[Call]:
        """Return what the recording module has written since the last time."""
        return self._recording.calls()

    def close(self) -> None:
        """Leave the key initialised and empty, and remove our own folder."""
        try:
            self.fresh()
        finally:
            self.release()

    def _present(self) -> bool:
        # Its label is not asked for: initialising changes it.
        return bool(self.ask("present", label="")["present"])


def _secret(variable: str, meaning: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise DeviceError(f"the environment variable {variable} is empty: it must hold {meaning}")
    return value

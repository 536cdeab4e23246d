"""SoftHSM2 as a device under test: a private folder, its one token made anew for each scenario."""

import shutil
from pathlib import Path

from ukey_harness.device.claim import SOFTHSM_FOLDERS, SOFTHSM_MODULE, DeviceFile
from ukey_harness.device.examiner import DeviceError
from ukey_harness.device.port import Device
from ukey_harness.device.recording import Recording
from ukey_harness.verdicts.record import Call

LABEL = "softhsm-key"


class SoftHsmDevice(Device):
    """SoftHSM2 with a configuration of its own; programs use it through the recording module."""

    def __init__(self, file: DeviceFile, home: Path) -> None:
        super().__init__(file, home)
        self._tokens = home / "softhsm-tokens"
        self._configuration = home / "softhsm2.conf"
        self._recording = Recording(file.module, home)

    def start(self) -> None:
        """Write the configuration."""
        if not self.file.module:
            raise DeviceError(
                f"{SOFTHSM_MODULE} is not in {' or '.join(SOFTHSM_FOLDERS)}; on Debian: apt-get "
                "install softhsm2, or give a device file whose device.module names it"
            )
        if not Path(self.file.module).is_file():
            raise DeviceError(
                f"{self.file.module} is not there; on Debian: apt-get install softhsm2"
            )
        self._configuration.write_text(
            f"directories.tokendir = {self._tokens}\n"
            "objectstore.backend = file\n"
            "log.level = ERROR\n",
            encoding="utf-8",
        )
        self.module = self._recording.module
        self.shortfalls = [self._recording.missing] if self._recording.missing else []
        self.environment |= {"SOFTHSM2_CONF": str(self._configuration)}

    def fresh(self) -> None:
        """Throw the old token away, initialise a new one."""
        shutil.rmtree(self._tokens, ignore_errors=True)
        self._tokens.mkdir()
        self.pin, self.so_pin = self.file.pins.user, self.file.pins.so
        self.serial, self.label = "", LABEL
        answer = self.ask("initialise", so_pin=self.so_pin, pin=self.pin)
        self.serial = answer["serial"]
        self.look()
        self.environment |= self._recording.begin()
        shutil.rmtree(self.home / "client", ignore_errors=True)

    def plug_in(self) -> None:
        """Do nothing: the token is always there."""

    def take_out(self) -> None:
        """Refuse: SoftHSM2's tokens cannot be taken out."""
        raise DeviceError("SoftHSM2's token cannot be taken out")

    def new_calls(self) -> list[Call]:
        """Return what the recording module has written since the last time."""
        return self._recording.calls()

"""The emulated key as a holder reaches it otherwise than through its own module.

The counter, and who unlocks the key, still come through that module: it is one key.
"""

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ukey_harness.device.claim import DeviceFile
from ukey_harness.device.emulated import EmulatedDevice
from ukey_harness.device.examiner import DeviceError, ask
from ukey_harness.device.recording import Recording
from ukey_harness.verdicts.record import Call

TRIAL = "ukey_harness.device.card_trial"
OPENSC_MODULES = ("/usr/lib/opensc-pkcs11.so", "/usr/lib/*/opensc-pkcs11.so")
_LOOKING = frozenset({"examine", "lock_trial"})
_EMPTY_VERIFY = "VERIFY (empty)"


class _CardDevice(EmulatedDevice):
    """The emulated key in a reader."""

    @property
    def is_card(self) -> bool:
        """Yes."""
        return True


class PivDevice(_CardDevice):
    """The emulated key as a PIV card, used through PC/SC itself."""

    @property
    def way(self) -> Mapping[str, str]:
        """Name the reader."""
        return {"UKEY_READER": self.reader}

    def ask(self, verb: str, **more: str | int) -> dict[str, Any]:
        """Look at the card through its reader; do the rest through the module."""
        if verb in _LOOKING:
            return ask({"verb": verb, "reader": self.reader, **more}, self.environment, TRIAL)
        return super().ask(verb, **more)

    def new_calls(self) -> list[Call]:
        """Return the calls, the VERIFY that carry no PIN under a name of their own."""
        calls = super().new_calls()
        for call in calls:
            if call.function == "VERIFY" and call.arguments.get("sent") == "0 bytes":
                call.function = _EMPTY_VERIFY
        return calls


class OpenScDevice(_CardDevice):
    """The emulated key as a PIV card behind OpenSC's PKCS#11 module."""

    def __init__(self, file: DeviceFile, home: Path) -> None:
        super().__init__(file, home)
        self._vendors = opensc_module()
        self._recording = Recording(self._vendors, home)

    def start(self) -> None:
        """Start the rack; DeviceError without OpenSC."""
        if not self._vendors:
            raise DeviceError(
                f"opensc-pkcs11.so is not at {' or '.join(OPENSC_MODULES)}; on Debian: apt-get "
                "install opensc-pkcs11"
            )
        super().start()
        self.shortfalls = [self._recording.missing] if self._recording.missing else []

    @property
    def way(self) -> Mapping[str, str]:
        """Name the module; OpenSC calls token and serial number as it likes."""
        return {"PKCS11_MODULE": self._recording.module}

    def fresh(self) -> None:
        """Make a new key; calls are written into a new file."""
        self.look()
        super().fresh()
        self.environment |= self._recording.begin()

    def ask(self, verb: str, **more: str | int) -> dict[str, Any]:
        """Look at the card through OpenSC; do the rest through the key's own module."""
        if verb not in _LOOKING:
            return super().ask(verb, **more)
        request = {"verb": verb, "module": self._vendors, "label": "", "serial": "", **more}
        return ask(request, self.environment)

    def new_calls(self) -> list[Call]:
        """Return the calls of OpenSC's module."""
        return self._recording.calls()


def opensc_module() -> str:
    """Return the path of the OpenSC module that is installed, "" where there is none."""
    for pattern in OPENSC_MODULES:
        for found in sorted(glob.glob(pattern)):  # noqa: PTH207 - absolute
            return found
    return ""

"""The emulated key as a device under test: a private rack, a new key whenever one is wanted."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ukey_harness.device.claim import DeviceFile
from ukey_harness.device.examiner import DeviceError
from ukey_harness.device.port import Device
from ukey_harness.verdicts.record import Call

if TYPE_CHECKING:
    from ukey_emulator.remote import KeyInfo, RackProcess, Remote

READERS_VARIABLE = "PCSCLITE_CSOCK_NAME"  # where libpcsclite looks for its resource manager
READERS_SOCKET = "pcscd.comm"


class EmulatedDevice(Device):
    """A rack of its own process in `home`, driven by its control port."""

    def __init__(self, file: DeviceFile, home: Path) -> None:
        super().__init__(file, home)
        self._rack: RackProcess | None = None
        self._remote: Remote | None = None
        self._name = ""
        self._seen = 0

    def start(self) -> None:
        """Start the rack."""
        from ukey_emulator import module_path  # noqa: PLC0415 - a vendor's run needs no emulator
        from ukey_emulator.remote import RackProcess, RemoteError  # noqa: PLC0415 - the same

        try:
            self.module = str(module_path())
            self._rack = RackProcess.start(self.home)
            self._remote = self._rack.remote()
            self.environment[READERS_VARIABLE] = str(self.home / READERS_SOCKET)
        except (FileNotFoundError, RemoteError) as error:
            raise DeviceError(str(error)) from error

    @property
    def remote(self) -> "Remote":
        """The rack's control port."""
        if self._remote is None:
            raise DeviceError("the emulated device is not open")
        return self._remote

    def fresh(self) -> None:
        """Throw the old key away, plug a new one in."""
        if self._name:
            self.remote.remove(self._name)
        key = self.new_key()
        self._name, self.label, self.serial = key.name, key.label, key.serial
        self.reader = f"ukeylab {key.name} 00 00"
        self.pin, self.so_pin = self.file.pins.user, self.file.pins.so
        shutil.rmtree(self.home / "client", ignore_errors=True)

    def new_key(self, *, initialized: bool = True) -> "KeyInfo":
        """Plug a key in that is as the device file says; DeviceError if there is none such."""
        from ukey_emulator.remote import RemoteError  # noqa: PLC0415 - a vendor's run needs none

        pins, profile = self.file.pins, self.file.profile
        try:
            return self.remote.new_key(
                pin=pins.user, so_pin=pins.so, initialized=initialized, profile=profile
            )
        except RemoteError as error:
            raise DeviceError(f"no key of the profile {profile}: {error}") from error

    def plug_in(self) -> None:
        """Plug the key in; nothing happens when it is."""
        self.remote.plug(self._name)

    def take_out(self) -> None:
        """Take the key out."""
        self.remote.unplug(self._name)

    def fail(self, *, function: str, rv: str) -> None:
        """Have the key fail once, at the next call of a function: C_Sign, CKR_DEVICE_ERROR."""
        self.remote.clear_faults()
        self.remote.add_fault(key=self._name, function=function, at=1, returns=rv)

    def enter_pin(self, *, pin: str) -> None:
        """Type a PIN on the key's pad."""
        self.remote.enter_pin(self._name, pin)

    def cancel_pin(self) -> None:
        """Press "cancel" on the key's pad."""
        self.remote.press(self._name, "cancel")

    def new_calls(self) -> list[Call]:
        """Return what the rack has traced since the last time."""
        entries = self.remote.trace(self._seen)
        if entries:
            self._seen = max(int(entry["n"]) for entry in entries)
        return [
            Call(
                function=str(entry["function"]),
                rv=str(entry["rv"]),
                us=int(entry["us"]),
                arguments=entry.get("arguments") or {},
            )
            for entry in entries
        ]

    def release(self) -> None:
        """Stop the rack and remove its folder."""
        if self._remote is not None:
            self._remote.close()
        if self._rack is not None:
            self._rack.stop()
        self._remote = self._rack = None
        super().release()

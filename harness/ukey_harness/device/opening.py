"""From a device file to the device itself."""

import shutil
import tempfile
from pathlib import Path

from ukey_harness.device.claim import read_device_file
from ukey_harness.device.emulated import EmulatedDevice
from ukey_harness.device.foreign import ForeignDevice
from ukey_harness.device.port import Device
from ukey_harness.device.reader import ReaderDevice
from ukey_harness.device.softhsm import SoftHsmDevice
from ukey_harness.device.ways import OpenScDevice, PivDevice

_WAYS: dict[str, type[Device]] = {"piv": PivDevice, "opensc": OpenScDevice}
_KINDS: dict[str, type[Device]] = {
    "emulated": EmulatedDevice,
    "softhsm2": SoftHsmDevice,
    "module": ForeignDevice,
    "reader": ReaderDevice,
}


def device_of(name: str, home: Path | None = None) -> Device:
    """Return the device of a shipped device file's name or a path; use it as a context manager.

    home: its private folder (default: a new temporary one); `close` removes it.
    DeviceFileError: the file is wrong. DeviceError: the device is not as the file says.
    """
    file = read_device_file(name)
    # Unix sockets stand in the home, and their paths may be 107 bytes long at most: keep it short.
    folder = home or Path(tempfile.mkdtemp(prefix="ukey-"))
    try:
        return _WAYS.get(file.way, _KINDS[file.kind])(file, folder)
    except BaseException:
        if home is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def try_out(name: str) -> None:
    """See that the device can be used: DeviceError says why it cannot.

    A key that is made anew without regret is made once; a real one is only looked for.
    """
    device = device_of(name)
    try:
        device.start()
        if device.renewable:
            device.fresh()
    finally:
        device.release()

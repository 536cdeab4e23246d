"""Runs a program with a recording in the place of the device that was recorded."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ukey_emulator import module_path, record_module_path
from ukey_emulator.rack.home import Home
from ukey_emulator.rack.server import SOCKET_NAME, ModuleServer
from ukey_emulator.run import run_program

from .device import RecordedFace
from .differences import Difference, Unplayed
from .file import Recording
from .lives import info

DIFFERS = 3
"""The exit code where a program called something else than what was recorded."""


def run_replayed(
    command: Sequence[str], recording: Recording
) -> tuple[int, list[Difference | Unplayed]]:
    """Run a program whose PKCS11_MODULE answers as the recording says.

    Gives its exit code and what differed.

    That is the recording module again, so that it offers the interfaces and the CK_INFO of the
    module that was recorded, and behind it our own, which a recording answers instead of a rack.
    RecordingError if the recording does not tell enough, RackError if nothing can listen,
    NotStartedError if the program cannot be started.
    """
    face = RecordedFace(recording)
    with tempfile.TemporaryDirectory(prefix="ukey-", ignore_cleanup_errors=True) as folder:
        home = Home(Path(folder))
        server = ModuleServer(home, face)
        server.start()
        try:
            code = run_program(command, _environment(folder, recording))
        finally:
            server.stop()
            home.close(SOCKET_NAME)
    return code, [*face.differences, *face.unplayed()]


def _environment(folder: str, recording: Recording) -> dict[str, str]:
    environment = {
        **os.environ,
        "UKEY_HOME": folder,
        "PKCS11_MODULE": record_module_path(),
        "UKEY_RECORD_MODULE": module_path(),
    }
    for left in ("UKEY_RECORD_FILE", "UKEY_RECORD_LEVEL", "UKEY_RECORD_AS", "UKEY_RECORD_INFO"):
        environment.pop(left, None)
    if recording.interfaces:
        environment["UKEY_RECORD_AS"] = ",".join(
            f"{major}.{minor}/{flags}" for major, minor, flags in recording.interfaces
        )
    if (told := info(recording.calls)) is not None:
        environment["UKEY_RECORD_INFO"] = told.hex()
    return environment

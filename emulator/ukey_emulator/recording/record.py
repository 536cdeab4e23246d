"""Runs a program with the recording module before a vendor's."""

import os
from collections.abc import Sequence
from pathlib import Path

from ukey_emulator import record_module_path
from ukey_emulator.run import run_program

from .file import RECORDING, RecordingError, begin


def run_recorded(command: Sequence[str], module: str, out: Path, level: str) -> int:
    """Run a program, with PKCS11_MODULE naming the recorder before `module`; give its exit code.

    The calls of the program, and of those that it starts, are in the file `out` afterwards, which
    is made anew, for its owner alone. RecordingError if there is no such module or the file cannot
    be written, NotStartedError if the program cannot be started.
    """
    vendors = Path(module).absolute() if "/" in module else Path(module)  # a name: as dlopen finds
    if vendors.is_absolute() and not vendors.is_file():
        raise RecordingError(f"there is no module {vendors}")
    out = out.absolute()
    try:
        recorder = record_module_path()
        # No more of the command: PINs stand in command lines.
        begin(out, RECORDING, level=level, module=str(vendors), program=command[0]).close()
    except OSError as error:
        raise RecordingError(f"{out} cannot be written: {error.strerror or error}") from error
    environment = {
        **os.environ,
        "PKCS11_MODULE": recorder,
        "UKEY_RECORD_MODULE": str(vendors),
        "UKEY_RECORD_FILE": str(out),
        "UKEY_RECORD_LEVEL": level,
    }
    for of_a_replay in ("UKEY_RECORD_AS", "UKEY_RECORD_INFO"):
        environment.pop(of_a_replay, None)
    return run_program(command, environment)

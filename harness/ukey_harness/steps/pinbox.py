"""A PIN box that can be held open: a named pipe from which a program reads its PIN."""

import os
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ukey_harness.steps.workplace import DeskError, Program

PATIENCE = 60.0  # seconds until a program asks for its PIN
PAUSE = 0.01


class PinBox:
    """Give `path` to a program as --pin-file: the program waits there until `enter` is called.

    That the program asks is seen on the pipe itself: it can be opened for writing without blocking
    only when somebody has it open for reading.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=folder)
        self.path = str(Path(self._folder.name) / "pin")
        os.mkfifo(self.path, 0o600)
        self._writer = -1

    def wait_until_asked(self, program: Program) -> None:
        """Return when the program asks for the PIN; DeskError when it does not."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                self._writer = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                time.sleep(PAUSE)
            else:
                return
        said = program.kill().said
        raise DeskError(f"no PIN was asked for within {PATIENCE:.0f} s; it said: {said}")

    def enter(self, pin: str) -> None:
        """Type the PIN and press the button."""
        os.write(self._writer, f"{pin}\n".encode())
        self._shut()

    def _shut(self) -> None:
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._shut()
        self._folder.cleanup()

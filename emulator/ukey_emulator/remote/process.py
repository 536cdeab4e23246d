"""A rack in a process of its own."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from .remote import Remote, RemoteError


class RackProcess:
    """A rack in a process of its own, which ends with this one.

    Make one with `start`, end it with `stop` or as a context manager. Without a home of yours it
    gets a private one, which is deleted at the end. `pid` is its process.
    """

    def __init__(self, home: Path, process: "subprocess.Popen[bytes]", *, private: bool) -> None:
        self.home = home
        self.pid = process.pid
        self._process = process
        self._private = private

    @classmethod
    def start(cls, home: Path | None = None) -> Self:
        """Start a rack and wait until it listens; RemoteError if it does not come up."""
        private = home is None
        folder = Path(tempfile.mkdtemp(prefix="ukey-")) if home is None else home
        # The rack ends when its standard input does, so that it never outlives this process.
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "ukey_emulator.rack",
                str(folder),
                "passing" if private else "lasting",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        rack = cls(folder, process, private=private)
        assert process.stdout is not None  # noqa: S101 - for the type checker
        if process.stdout.readline().strip() != b"ready":
            rack.stop()
            raise RemoteError(f"the rack at {folder} did not come up; see its message above")
        return rack

    @property
    def readers_socket(self) -> Path:
        """Where its readers are: what PCSCLITE_CSOCK_NAME says to programs."""
        return self.home.absolute() / "pcscd.comm"

    def remote(self) -> Remote:
        """Connect to its control port."""
        return Remote(self.home)

    def stop(self) -> None:
        """End the rack, and delete its home if that is private."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)
        if self._private:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

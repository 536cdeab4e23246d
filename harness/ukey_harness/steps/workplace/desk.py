"""The harness's side of the workplace: start programs, wait for them, see what they said."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

READY_LIMIT = 60.0  # seconds for the imports of a cold machine
TIME_LIMIT = 90.0  # seconds for one program
UKEY = "ukey_harness.cli:run"


class DeskError(Exception):
    """The workplace itself failed: it did not start, or a program did not end in time."""


@dataclass(frozen=True)
class Outcome:
    """How a program ended: exit code (negative: killed by that signal) and what it said."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything that the person in front of it could read: remarks first, then the result."""
        return "\n".join(part for part in (self.err.strip(), self.out.strip()) if part)

    @property
    def fault(self) -> str:
        """What it said on stderr, or on stdout when it said nothing there."""
        return self.err.strip() or self.out.strip()


class Program:
    """A program that runs: write to its `stdin`, then wait for it."""

    def __init__(
        self, argv: Sequence[str], stdin: BinaryIO, status: int, outputs: tuple[BinaryIO, BinaryIO]
    ) -> None:
        self.argv = tuple(argv)
        self.stdin = stdin
        self._status = status
        self._outputs = outputs
        self._lines = b""
        self.pid = int(self._line(READY_LIMIT))

    def said_so_far(self) -> str:
        """Return what it has written until now."""
        return "".join(_content(output) for output in self._outputs)

    def wait(self, limit: float = TIME_LIMIT) -> Outcome:
        """Wait until it ends; DeskError when it does not within `limit` seconds (it is killed)."""
        with suppress(BrokenPipeError):
            self.stdin.close()
        try:
            code = int(self._line(limit))
        except DeskError:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            raise DeskError(
                f"'{' '.join(self.argv)}' did not end within {limit:.0f} s; it said: "
                f"{self.said_so_far().strip() or 'nothing'}"
            ) from None
        finally:
            os.close(self._status)
        out, err = (_content(output) for output in self._outputs)
        for output in self._outputs:
            output.close()
        return Outcome(self.argv, code, out, err)

    def kill(self) -> Outcome:
        """End it at once, as when the power goes."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def _line(self, limit: float) -> bytes:
        deadline = time.monotonic() + limit
        while b"\n" not in self._lines:
            ready, _, _ = select.select([self._status], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise DeskError(f"no answer within {limit:.0f} s")
            piece = os.read(self._status, 64)
            if not piece:
                raise DeskError("the workplace ended")
            self._lines += piece
        line, _, self._lines = self._lines.partition(b"\n")
        return line


class Desk:
    """A workplace: programs are started in its folder, with its environment and no terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._requests = ours
        with theirs:
            self._server = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "ukey_harness.steps.workplace.server",
                    str(theirs.fileno()),
                ],
                pass_fds=[theirs.fileno()],
            )
        ours.settimeout(READY_LIMIT)
        try:
            if ours.recv(16) != b"ready":
                raise DeskError("the workplace did not start")
        except TimeoutError as error:
            self.close()
            raise DeskError(f"the workplace did not start within {READY_LIMIT:.0f} s") from error

    def start(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        entry: str = UKEY,
        largest_file: int = 0,
    ) -> Program:
        """Start `ukey` with these arguments (or another entry point `module:function`).

        largest_file: bytes that it may write into one file (0: no limit), as on a full disk.
        """
        status, status_end = os.pipe()
        stdin_end, stdin = os.pipe()
        outputs = (tempfile.TemporaryFile(), tempfile.TemporaryFile())  # noqa: SIM115 - the program closes them
        request = {
            "entry": entry,
            "argv": list(argv),
            "env": _plain(environment),
            "cwd": str(self.folder),
            "largest_file": largest_file,
        }
        descriptors = [stdin_end, *(output.fileno() for output in outputs), status_end]
        try:
            socket.send_fds(self._requests, [json.dumps(request).encode()], descriptors)
        except OSError as error:
            raise DeskError(f"the workplace has gone: {error}") from error
        finally:
            os.close(stdin_end)
            os.close(status_end)
        return Program(argv, os.fdopen(stdin, "wb", buffering=0), status, outputs)

    def run(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        typed: str = "",
        entry: str = UKEY,
        limit: float = TIME_LIMIT,
        largest_file: int = 0,
    ) -> Outcome:
        """Start a program, type something into it, and wait for its end."""
        program = self.start(argv, environment, entry, largest_file)
        with suppress(BrokenPipeError):
            program.stdin.write(typed.encode())
        return program.wait(limit)

    def close(self) -> None:
        """End the workplace."""
        self._requests.close()
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _plain(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the machine's environment with ours over it, without what would change a program."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("UKEY_", "PKCS11_", "SOFTHSM2_", "PYTEST_"))
    }
    return {**inherited, "PYTHONIOENCODING": "utf-8", "LANG": "C.UTF-8", **environment}


def _content(file: BinaryIO) -> str:
    """Return the content without moving the offset, which the program shares with us."""
    return os.pread(file.fileno(), 1 << 24, 0).decode(errors="replace")

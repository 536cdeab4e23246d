"""The programs that use a module: worker processes, each with a connection and a time limit."""

import os
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

WORKER = Path(__file__).parent / "application_worker.py"
LIMIT = 20.0  # seconds for one call; nothing here takes a tenth of one


class Fell(Exception):  # noqa: N818 - the program is gone
    """A program that crashed or did not come back; `what` is "crash" or "hang"."""

    def __init__(self, what: str, detail: str) -> None:
        self.what = what
        super().__init__(f"{what}: {detail}")


class Program:
    """A worker process, started when it is first asked."""

    def __init__(self, module: str, environment: dict[str, str]) -> None:
        self._module = module
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Any = None

    def ask(self, verb: str, *more: Any) -> Any:
        """Have the worker do something; Fell if it dies or hangs."""
        if self._process is None:
            self._start()
        try:
            self._connection.send((verb, *more))
            if self._connection.poll(LIMIT):
                return self._connection.recv()
        except (EOFError, OSError) as error:
            process = self._process
            code = process.wait(timeout=LIMIT) if process else None
            self.close()
            raise Fell("crash", f"at {verb} {more}: exit {code}") from error
        self.close()
        raise Fell("hang", f"no answer to {verb} {more} in {LIMIT:.0f} s")

    def _start(self) -> None:
        mine, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(WORKER), self._module, str(theirs.fileno())],
                env=self._environment,
                pass_fds=[theirs.fileno()],
            )
        self._connection = mine

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        self._connection.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=LIMIT)

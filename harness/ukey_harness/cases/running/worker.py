"""The runner's side of a case server: one process that forks a child for each case."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from ukey_harness.cases.case import Case
from ukey_harness.cases.finding import Finding
from ukey_harness.cases.subject import Subject, nobody_can

PATIENCE = 30.0  # seconds beyond a case's own limit, for the server itself
CHUNK = 65536

Act = Callable[[str, dict[str, Any]], dict[str, Any]]


def refuse(verb: str, more: dict[str, Any]) -> dict[str, Any]:
    """Be the operator of a device that has none."""
    del more
    return {"refused": nobody_can(verb)}


class Worker:
    """A case server, started when the first case comes; a context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""

    def run(self, case: Case, subject: Subject, act: Act = refuse) -> Finding:
        """Run one case; act does what the case has the device's operator do."""
        begun = time.monotonic()
        try:
            request = {"suite": case.suite, "case": case.id, "file": case.file}
            self._send({**request, "limit": case.limit, "subject": subject.to_json()})
            while True:
                message = self._receive(case.limit + PATIENCE)
                if "done" in message:
                    finding = Finding.from_json(message["done"])
                    break
                self._send(act(message["ask"], message["more"]))
        except (OSError, EOFError, ValueError) as error:
            self.close()
            finding = Finding(case.id, fault=f"the case server failed: {error}")
        finding.seconds = round(time.monotonic() - begun, 4)
        return finding

    def close(self) -> None:
        """End the server."""
        process, self._process, self._rest = self._process, None, b""
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, message: dict[str, Any]) -> None:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ukey_harness.cases.running.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    def _receive(self, patience: float) -> dict[str, Any]:
        assert self._process is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101 - the same
        out = self._process.stdout.fileno()
        deadline = time.monotonic() + patience
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                raise EOFError(f"no answer within {patience:.0f} s")
            chunk = os.read(out, CHUNK)
            if not chunk:
                raise EOFError(f"it ended with code {self._process.poll()}")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

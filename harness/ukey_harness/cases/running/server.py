"""Forks one process for each case: `python -m ukey_harness.cases.running.server`.

Python and a suite's cases are loaded once, so that a process for a case costs milliseconds; the
module under test is loaded in that process alone. Requests and answers are JSON lines on standard
input and output: {"suite", "case", "file", "subject", "limit"} in; {"ask"…} and {"answer"…} while
a case has the device's operator do something; {"done": finding} out.
"""

import json
import os
import resource
import select
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from ukey_harness.cases.case import Case
from ukey_harness.cases.catalogue import CARD, all_cases
from ukey_harness.cases.finding import HUNG, Finding
from ukey_harness.cases.oasis.cases import read_case
from ukey_harness.cases.running.child import CHUNK, Line, carry_out
from ukey_harness.cases.subject import Subject
from ukey_harness.cryptoki.abi import declared

OUTPUT_KEPT = 2000
FAREWELL = 15.0  # seconds for what a case's process does after it has told what it saw
CUT_OFF = 77  # its exit code when it could not tell
# What a module may take that has no measure: beyond it there is an error for the module alone.
LIMITS = {resource.RLIMIT_DATA: 2 << 30, resource.RLIMIT_FSIZE: 64 << 20, resource.RLIMIT_CORE: 0}


class Stream:
    """The runner's side: lines from standard input, lines to standard output."""

    def __init__(self) -> None:
        self._rest = b""

    def send(self, message: dict[str, Any]) -> None:
        """Send one message."""
        os.write(1, json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, Any] | None:
        """Wait for one message; None at the end."""
        while b"\n" not in self._rest:
            chunk = os.read(0, CHUNK)
            if not chunk:
                return None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message


def main() -> None:
    """Serve requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the runner ends this, not the terminal
    stream = Stream()
    while (request := stream.receive()) is not None:
        case = _case(request["suite"], request["case"], request["file"])
        subject = Subject.from_json(request["subject"])
        finding = run(case, subject, stream, float(request["limit"]))
        stream.send({"done": finding.to_json()})


def _case(suite: str, name: str, file: str) -> Case:
    if suite != CARD:
        declared()
    return read_case(Path(file)) if file else _cases(suite)[name]


@cache
def _cases(suite: str) -> dict[str, Case]:
    return all_cases(suite)


def run(case: Case, subject: Subject, stream: Stream, limit: float) -> Finding:
    """Run one case in a child and return its finding, whatever becomes of the child."""
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            ours.close()
            _live(case, subject, theirs, output)
        theirs.close()
        finding = _watch(child, ours, stream, limit)
        ours.close()
        output.seek(0, os.SEEK_END)
        output.seek(max(0, output.tell() - OUTPUT_KEPT))
        finding.output = output.read().decode(errors="replace").strip()
    finding.case = case.id
    return finding


def _live(case: Case, subject: Subject, end: socket.socket, output: BinaryIO) -> NoReturn:
    """Be the child: never return, and leave without the module's own farewells."""
    code = 1
    try:
        os.setsid()
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - its descriptor is wanted
            os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        for kind, most in LIMITS.items():
            hard = resource.getrlimit(kind)[1]
            fits = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (fits, hard))
        carry_out(case, subject, Line(end))
        code = 0
    except OSError:
        code = CUT_OFF
    finally:
        os._exit(code)


def _watch(child: int, end: socket.socket, stream: Stream, limit: float) -> Finding:
    """Wait for the child's finding and for its end, at most so long; relay what it asks."""
    finding: Finding | None = None
    hung = False
    deadline = time.monotonic() + limit
    handle = os.pidfd_open(child)
    watched: list[int] = [end.fileno(), handle]
    rest = b""
    while True:
        left = deadline - time.monotonic()
        ready = select.select(watched, [], [], left)[0] if left > 0 else []
        if not ready:
            hung = True
            break
        if end.fileno() in ready:
            chunk = end.recv(CHUNK)
            if not chunk:  # closed, by its end or by the module
                watched.remove(end.fileno())
            rest += chunk
            while b"\n" in rest:
                text, _, rest = rest.partition(b"\n")
                message = _read(text)
                if "done" in message:
                    finding = Finding.from_json(message["done"])
                    deadline = min(deadline, time.monotonic()) + FAREWELL
                elif "ask" in message:
                    begun = time.monotonic()
                    _relay(message, stream, Line(end).send)
                    deadline += time.monotonic() - begun  # the operator's time is not the case's
        elif handle in ready:
            break
    os.close(handle)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return _ended(finding, status, hung=hung, limit=limit)


def _read(text: bytes) -> dict[str, Any]:
    """Read a line of the case's process; what the module wrote there itself says nothing."""
    try:
        message = json.loads(text)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _relay(
    message: dict[str, Any], stream: Stream, answer: Callable[[dict[str, Any]], None]
) -> None:
    stream.send(message)
    reply = stream.receive()
    answer({"refused": "The run was ended."} if reply is None else reply)


def _ended(finding: Finding | None, status: int, *, hung: bool, limit: float) -> Finding:
    """Return the finding, or one that says how the child ended without any."""
    if finding is not None:
        return finding
    if hung:
        return Finding("", crash=f"{HUNG} within {limit:.0f} s.")
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return Finding("", crash=f"The module ended the process with {name}.")
    if status >> 8 == CUT_OFF:
        return Finding("", crash="The module closed the line on which the case tells what it saw.")
    return Finding("", crash=f"The module ended the process with exit code {status >> 8}.")


if __name__ == "__main__":
    main()

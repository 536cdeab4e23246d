"""The two sides of the bench: processes with a module in each, and the stores behind them."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ukey_emulator import module_path
from ukey_emulator.remote import RackProcess

HERE = Path(__file__).parent
SOFTHSM = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
)


class Worker:
    """One side: a child process that measures what it is told."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.take()  # it says that it is ready

    def ask(self, name: str, **more: float) -> None:
        """Have it measure something; `take` gives what came out."""
        stdin = self._process.stdin
        assert stdin is not None  # for the type checker: it is a pipe
        stdin.write(json.dumps({"measure": name, **more}) + "\n")
        stdin.flush()

    def take(self) -> float | str:
        """Give what came out; RuntimeError if the child ended."""
        stdout = self._process.stdout
        assert stdout is not None
        line = stdout.readline()
        if not line:
            raise RuntimeError("a side of the bench has ended; see above")
        answer: float | str = json.loads(line)
        return answer

    def measure(self, name: str, **more: float) -> float:
        """Have it measure something and wait."""
        self.ask(name, **more)
        return float(self.take())


@contextmanager
def worker(module: str, environment: dict[str, str], *words: str) -> Iterator[Worker]:
    """Start one side, and end it."""
    side, *label = words
    process = subprocess.Popen(
        [sys.executable, str(HERE / "worker.py"), side, module, *label],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        yield Worker(process)
    finally:
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=30)


@dataclass(frozen=True)
class Sides:
    """Both sides, and the rack behind ours."""

    ours: Worker
    theirs: Worker
    rack: RackProcess

    @contextmanager
    def joined(self, count: int) -> Iterator[list[Worker]]:
        """Start further programs on our side's token."""
        self.ours.ask("label")
        label = str(self.ours.take())
        home = {"UKEY_HOME": str(self.rack.home)}
        with ExitStack() as stack:
            yield [
                stack.enter_context(worker(module_path(), home, "ukey", label))
                for _ in range(count)
            ]


@contextmanager
def sides() -> Iterator[Sides]:
    """Start both sides, each with a store of its own."""
    softhsm = next((path for path in SOFTHSM if Path(path).exists()), None)
    if softhsm is None:
        sys.exit("bench: there is no SoftHSM2 here; ci/bootstrap installs it")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ukey-bench-")))
        (folder / "tokens").mkdir()
        configuration = folder / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
        rack = stack.enter_context(RackProcess.start())
        ours = {"UKEY_HOME": str(rack.home)}
        theirs = {"SOFTHSM2_CONF": str(configuration)}
        yield Sides(
            stack.enter_context(worker(module_path(), ours, "ukey")),
            stack.enter_context(worker(softhsm, theirs, "softhsm2")),
            rack,
        )

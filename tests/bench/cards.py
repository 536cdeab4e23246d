"""Measures keys as cards: our readers beside a pcscd with vpcd, from a program in C."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

HERE = Path(__file__).parent
COMMANDS = 2_000  # of which the median is taken


class CardSide:
    """A reader in a process of its own."""

    def __init__(self, program: Path, process: "subprocess.Popen[str]") -> None:
        self._program = program
        self._process = process
        self._environment = {**os.environ, "PCSCLITE_CSOCK_NAME": self._take()}
        self._reader = self._name()

    def insert(self) -> float:
        """Put a card in; give the time just before, in microseconds."""
        return self._ask("insert")

    def remove(self) -> None:
        """Take the card out, and wait until that has been seen."""
        self._ask("remove")
        time.sleep(1)

    def round_trip(self) -> float:
        """Measure a command's round trip, in microseconds."""
        words = [self._program, self._reader, "transmit", str(COMMANDS)]
        done = subprocess.run(
            words, env=self._environment, check=True, capture_output=True, text=True, timeout=120
        )
        return float(done.stdout)

    def insertion(self) -> float:
        """Measure how long it takes until a program has seen a card come, in microseconds."""
        words = [self._program, self._reader, "wait"]
        with subprocess.Popen(
            words, env=self._environment, stdout=subprocess.PIPE, text=True
        ) as waiting:
            assert waiting.stdout is not None
            waiting.stdout.readline()
            time.sleep(0.05)  # between saying that it waits and waiting
            begun = self.insert()
            return float(waiting.stdout.readline()) - begun

    def _ask(self, what: str) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return float(self._take())

    def _take(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a side of the bench has ended; see above")
        return line.strip()

    def _name(self) -> str:
        said = subprocess.run(
            [sys.executable, "-c", "from smartcard.System import readers; print(readers()[0])"],
            env=self._environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return said.stdout.strip()


@contextmanager
def card_sides() -> Iterator[tuple[CardSide, CardSide]]:
    """Start both sides, ours first, without cards."""
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        program = folder / "apdu"
        source = HERE / "apdu.c"
        words = ["cc", "-O2", "-I/usr/include/PCSC", "-o", program, source, "-lpcsclite"]
        subprocess.run(words, check=True, timeout=120)
        yield (
            closing.enter_context(_card_side(program, "ours")),
            closing.enter_context(_card_side(program, "pcscd")),
        )


@contextmanager
def _card_side(program: Path, name: str) -> Iterator[CardSide]:
    words = [sys.executable, HERE / "card_host.py", name]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield CardSide(program, process)

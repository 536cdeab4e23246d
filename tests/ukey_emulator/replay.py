"""The module's fuzz target without a fuzzer: inputs go in, what was sent and taken comes out."""

import base64
import os
import struct
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ukey_emulator.cryptoki.wire import HEADER

FOLDER = Path(__file__).parents[2] / "emulator" / "module" / "fuzz"
FRAMED = 0x80
"""The manner of an answer that is given as its payload alone."""

_TOLD = struct.Struct("<QQ")


class Exchange(NamedTuple):
    """One call: its request as a frame, empty if it was not sent, and what came of it."""

    request: bytes
    rv: int

    @property
    def number(self) -> int:
        return self.request[1]

    @property
    def payload(self) -> bytes:
        return self.request[HEADER.size :]


def compiled(folder: Path) -> Path:
    """Compile the program that replays, under the sanitizers."""
    program = folder / "replay"
    command = [sys.executable, str(FOLDER / "compile.py"), "replay", str(program)]
    subprocess.run(command, check=True, timeout=120)
    return program


def input_of(function: int, arguments: bytes, answer: bytes, manner: int = FRAMED) -> bytes:
    """Put an input together as exchange.c takes it apart."""
    return struct.pack("<BBH", function, manner, len(arguments)) + arguments + answer


def replay(program: Path, inputs: Iterable[bytes]) -> list[Exchange]:
    """Run inputs; a finding of a sanitizer, or a broken rule of the target, is a failed test."""
    given = b"".join(struct.pack("<Q", len(each)) + each for each in inputs)
    environment = {**os.environ, "ASAN_OPTIONS": "", "UBSAN_OPTIONS": "print_stacktrace=1"}
    done = subprocess.run(
        [program], input=given, capture_output=True, timeout=120, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    told, exchanges = done.stdout, []
    while told:
        size, rv = _TOLD.unpack_from(told)
        exchanges.append(Exchange(told[_TOLD.size : _TOLD.size + size], rv))
        told = told[_TOLD.size + size :]
    return exchanges


def corpus(path: Path) -> list[bytes]:
    """Read a corpus: one input a line, in base64."""
    return [base64.b64decode(line) for line in path.read_text().split()]

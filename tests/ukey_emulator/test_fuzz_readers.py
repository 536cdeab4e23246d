"""The fuzz target of the resource manager, run on its corpus."""

import base64
import random
from pathlib import Path

import fuzz_readers

from ukey_emulator.readers.terms import Command

CORPUS = Path(__file__).parent / "readers.corpus"


def test_the_corpus() -> None:
    inputs = [base64.b64decode(line) for line in CORPUS.read_text().split()]
    for each in inputs:
        fuzz_readers.TestOneInput(each)
    talks = [each[1:] for each in inputs if each and each[0] % 2 == fuzz_readers.TALK]
    assert len(talks) < len(inputs)
    said = {
        talk[at] % len(fuzz_readers.COMMANDS) for talk in talks for at in range(0, len(talk), 7)
    }
    assert len(said) == len(fuzz_readers.COMMANDS)


def test_talks_by_chance() -> None:
    """Long ones, of a client that has a context and handles, with a seed that is told."""
    dice = random.Random(4711)  # noqa: S311 - repeatable
    establish, connect = map(
        fuzz_readers.COMMANDS.index, (Command.ESTABLISH_CONTEXT, Command.CONNECT)
    )
    begin = [(establish, 0, 2, 0, 0, 0, 0), *[(connect, 1, 0, 2, 3, 0, 0)] * 4]
    for _ in range(200):
        rest = [tuple(dice.choices(range(256), k=7)) for _ in range(60)]
        talk = b"".join(map(bytes, begin + rest))
        fuzz_readers.TestOneInput(bytes([fuzz_readers.TALK]) + talk)

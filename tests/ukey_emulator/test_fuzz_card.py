"""The fuzz target of the card, run on its corpus."""

import base64
from pathlib import Path

import fuzz_card

CORPUS = Path(__file__).parent / "card.corpus"
LEAST = 10  # instructions: as many as have data that is read


def test_the_corpus() -> None:
    inputs = [base64.b64decode(line) for line in CORPUS.read_text().split()]
    for each in inputs:
        fuzz_card.TestOneInput(each)
    kinds = [each[0] % 4 for each in inputs if each]
    assert set(kinds) == set(range(4))
    talks = [each[1:] for each in inputs if each and each[0] % 4 == fuzz_card.TRUSTED_TALK]
    sent = {command[1] for talk in talks for command in fuzz_card.commands(talk) if command[4:]}
    assert len(sent) >= LEAST

"""The fuzz target of the rack's decoders, run on its corpus."""

import base64
import logging
from pathlib import Path

import fuzz_decoder
import pytest

from ukey_emulator.cryptoki.wire import FUNCTIONS

LEAST = 12  # functions: more than a dozen decode unlike each other
CORPUS = Path(__file__).parent / "decoder.corpus"


def test_the_corpus(caplog: pytest.LogCaptureFixture) -> None:
    inputs = [base64.b64decode(line) for line in CORPUS.read_text().split()]
    for each in inputs:
        fuzz_decoder.TestOneInput(each)
    kinds = {each[0] for each in inputs if each}
    assert {fuzz_decoder.STREAM, fuzz_decoder.CONTROL} <= kinds
    assert len(kinds & {f.number for f in FUNCTIONS.values() if not f.local}) >= LEAST
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []

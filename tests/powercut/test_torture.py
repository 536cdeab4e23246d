"""The torture of a key, for some seconds; UKEY_TORTURE_SECONDS makes it longer."""

import os
import secrets
from pathlib import Path

import pytest
from torture import Torture

SECONDS = float(os.environ.get("UKEY_TORTURE_SECONDS", "3"))


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UKEY_HOME", "")  # which the torture sets, and the next test must not see


@pytest.mark.timeout(SECONDS + 170)
def test_a_key_that_is_tortured_keeps_its_word(tmp_path: Path) -> None:
    torture = Torture(tmp_path, secrets.randbelow(10**6))
    try:
        torture.run(SECONDS)
    finally:
        print(f"seed {torture.seed}: {dict(torture.report)}")  # noqa: T201 - to repeat it
    assert torture.report["cuts"]


def test_the_torture_finds_a_key_that_does_not(tmp_path: Path) -> None:
    torture = Torture(tmp_path, 1, ("waits_for_nothing",))
    with pytest.raises(AssertionError, match="after a cut"):
        torture.run(60)

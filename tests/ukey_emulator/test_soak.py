"""The soak, for as long as the suite bears it; UKEY_SOAK_SECONDS makes it longer."""

import os
import secrets
from pathlib import Path

import pytest
from soak import Soak

SECONDS = float(os.environ.get("UKEY_SOAK_SECONDS", "10"))


@pytest.mark.timeout(SECONDS + 170)
def test_everything_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UKEY_HOME", "")  # which the soak sets, and the next test must not see
    soak = Soak(tmp_path, SECONDS, secrets.randbelow(10**6))
    try:
        soak.run()
    finally:
        for name, value in soak.report.items():
            print(f"{name}: {value}")  # noqa: T201 - with the seed, for who has to repeat it

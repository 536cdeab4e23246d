"""The preloaded library, and where the programs of other tests are that these use too."""

import sys
from pathlib import Path

import pytest
from shim import compiled

_TESTS = Path(__file__).parent.parent
for folder in ("ukey_emulator", "ukey_client"):
    if str(_TESTS / folder) not in sys.path:
        sys.path.append(str(_TESTS / folder))


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("shim"))

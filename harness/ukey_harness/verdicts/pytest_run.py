"""What plugin and scenarios share about the running pytest; it imports pytest alone."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ukey_harness.verdicts.session import RecordedSession

DEVICE = "ukey_device"
REPORT = "ukey_report"

# The configurations of the runs of this process, the innermost last (pytester nests them).
running: list[pytest.Config] = []
recorded: "pytest.StashKey[RecordedSession]" = pytest.StashKey()


def report_folder(config: pytest.Config) -> Path | None:
    """Return where the record goes: --ukey-report, else pytest's cache, None without either."""
    chosen = config.getoption(REPORT)
    if chosen:
        return Path(str(chosen)).absolute()
    cache = getattr(config, "cache", None)
    return None if cache is None else Path(cache.mkdir("ukeylab"))

"""Pytest in somebody else's project."""

import os
import subprocess
import sys
from pathlib import Path

TIME_LIMIT = 150.0


def run_pytest(project: Path, *arguments: str, **environment: str) -> str:
    """Run pytest in a project with all plugins that are installed; return what it prints."""
    (project / "pytest.ini").touch()
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )
    return done.stdout + done.stderr

"""The examples as judges: each runs as its first lines say, from a copy of its folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from test_java import JAVA

EXAMPLES = Path(__file__).parents[2] / "examples"
BIN = Path(sys.executable).parent

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Run:
    """Give what runs a command in a copy of the example that the test is named after."""
    folder = tmp_path / "example"
    name = request.node.name.removeprefix("test_")
    shutil.copytree(
        EXAMPLES / name, folder, ignore=shutil.ignore_patterns("__pycache__", ".*", "*.class")
    )

    def run(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **JAVA, "PATH": f"{BIN}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"$ {' '.join(command)}\n{done.stdout}"
        return done.stdout

    return run


def test_c(run: Run) -> None:
    run("sh", "-c", "cc -Wall -Wextra -Werror -o pulled pulled.c $(pkg-config --cflags p11-kit-1)")
    assert run("ukey", "run", "--", "./pulled").splitlines() == [
        "slot 0: the key is gone",
        "slot 0: the key is there",
        "signed again, after a new login",
    ]


def test_java(run: Run) -> None:
    told = run("ukey", "run", "--", "sh", "sign.sh")
    assert "signed: " in told
    assert "the key is gone: " in told
    assert "signed again: " in told


def test_shell(run: Run) -> None:
    assert run("ukey", "run", "--", "sh", "drive.sh").splitlines() == [
        "it signs",
        "CKR_DEVICE_ERROR",
        "it signs again",
        "No slot with a token was found",
        "it is back",
        '"fault": "hiccup"',
    ]


def test_pytest(run: Run) -> None:
    assert "8 passed" in run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", ".")

"""A key is killed at each of its writes, and its power cut: it is as before, or as after.

UKEY_POWERCUT_SEEDS=50 has the disk lose its last writes in so many ways at each step instead of
one, and cuts keys that are not lasting as well.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from shim import compiled

HERE = Path(__file__).parent
SEEDS = os.environ.get("UKEY_POWERCUT_SEEDS", "1")
GROUPS = ("pins", "token", "objects", "keys", "card pins", "card keys", "rack", "file")
PASSING = GROUPS if int(SEEDS) > 1 else ("objects",)


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("shim"))


def cut(shim: Path, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the cutter; what it prints is in the report of the test."""
    command = [sys.executable, str(HERE / "cutter.py"), str(folder), *words]
    environment = {**os.environ, "LD_PRELOAD": str(shim)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=3600, check=False
    )
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.timeout(180 * int(SEEDS))
def test_a_lasting_key_survives_a_power_cut(shim: Path, tmp_path: Path, group: str) -> None:
    done = cut(shim, tmp_path, "--group", group, "--seeds", SEEDS)
    assert done.returncode == 0
    scenes = done.stdout.splitlines()
    assert scenes
    assert not [scene for scene in scenes if ": 0 killed" in scene or " 0 power" in scene]


@pytest.mark.parametrize("group", PASSING)
def test_a_key_that_is_not_lasting_survives_a_kill(shim: Path, tmp_path: Path, group: str) -> None:
    done = cut(shim, tmp_path, "--group", group, "--passing")
    assert done.returncode == 0
    assert "killed" in done.stdout


@pytest.mark.parametrize(
    ("broken", "scene", "found"),
    [
        ("waits_for_nothing", "wrong pins till it is blocked", "4 tries of USER left, 3 were"),
        ("waits_for_nothing", "objects created", "power, lost"),
        ("changes_in_pieces", "card reset", "is not"),
        ("counts_late", "card pin verified", "compared={'USER'}"),
        ("forgets_to_write", "objects created", "what programs saw is not in the file"),
    ],
)
def test_the_cuts_find_a_key_that_is_broken(
    shim: Path, tmp_path: Path, broken: str, scene: str, found: str
) -> None:
    done = cut(shim, tmp_path, "--scene", scene, "--broken", broken)
    assert done.returncode == 1
    assert "WRONG" in done.stdout
    assert found in done.stdout

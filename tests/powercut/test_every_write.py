"""A key is killed at each of its writes, and its power cut: it is as before, or as after.

UKEY_POWERCUT_SEEDS=50 has the disk lose its last writes in so many ways at each step instead of
one, and cuts keys that are not lasting as well.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SEEDS = os.environ.get("UKEY_POWERCUT_SEEDS", "1")
# Each is a process.
GROUPS = (("pins", "token"), ("objects", "keys"), ("card pins",), ("card keys",), ("rack", "file"))
PASSING = GROUPS if int(SEEDS) > 1 else (("keys",),)
BROKEN = (
    ("waits_for_nothing", "wrong pins till it is blocked", "2 tries of USER left, 1 were"),
    ("waits_for_nothing", "objects created", "power, lost"),
    ("changes_in_pieces", "token initialised for the first time", "is not"),
    ("counts_late", "card pin verified", "compared={'USER'}"),
    ("forgets_to_write", "objects created", "what programs saw is not in the file"),
)


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


@pytest.mark.parametrize("groups", GROUPS, ids=" and ".join)
@pytest.mark.timeout(180 * int(SEEDS))
def test_a_lasting_key_survives_a_power_cut(
    shim: Path, tmp_path: Path, groups: tuple[str, ...]
) -> None:
    done = cut(shim, tmp_path, *_named(groups), "--seeds", SEEDS)
    assert done.returncode == 0
    scenes = done.stdout.splitlines()
    assert scenes
    assert not [scene for scene in scenes if ": 0 killed" in scene or " 0 power" in scene]


@pytest.mark.parametrize("groups", PASSING, ids=" and ".join)
def test_a_key_that_is_not_lasting_survives_a_kill(
    shim: Path, tmp_path: Path, groups: tuple[str, ...]
) -> None:
    done = cut(shim, tmp_path, *_named(groups), "--passing")
    assert done.returncode == 0
    assert "killed" in done.stdout


def _named(groups: tuple[str, ...]) -> list[str]:
    return [word for group in groups for word in ("--group", group)]


def test_the_cuts_find_a_key_that_is_broken(shim: Path, tmp_path: Path) -> None:
    words = [word for how, scene, _ in BROKEN for word in ("--broken", how, scene)]
    done = cut(shim, tmp_path, *words)
    assert done.returncode == 1
    told = re.split(r"\n(?! )", done.stdout.rstrip())
    for (_, scene, found), each in zip(BROKEN, told, strict=True):
        assert each.startswith(scene)
        assert "WRONG" in each
        assert found in each

"""Programs in C with many threads, forks and reloads, before a real rack (threads/scene.c)."""

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rack_watch import descriptors, first_free_descriptor, pid_of, threads, within

import ukey_emulator
from ukey_emulator.remote import RackProcess

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCENES = (
    *("initialise", "finalise", "waiting", "mutexes", "forks", "exits", "children", "unload"),
    *("descriptors", "processes"),
)
# Long data is mapped, and a mapping that is given back is gone at once: what still points there
# is seen.
STRICT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_PERTURB_": "165"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("scene") / "scene"
    headers = (ROOT / "emulator/module", ROOT / "emulator/ukey_emulator/cryptoki")
    command = ["cc", "-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-pthread"]
    command += [f"-I{folder}" for folder in headers]
    sources = sorted((HERE / "threads").glob("*.c"))
    subprocess.run([*command, "-o", program, *sources, "-ldl"], check=True, timeout=60)
    return program


@pytest.fixture(scope="module")
def rack() -> Iterator[RackProcess]:
    with RackProcess.start() as running, running.remote() as remote:
        remote.new_key()
        assert remote.keys()  # a thread of the rack serves this connection by now
        yield running


def play(scene: Path, rack: RackProcess, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [scene, ukey_emulator.module_path(), name],
        env={**os.environ, **STRICT, "UKEY_HOME": str(rack.home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def holds_no_more(rack: RackProcess, before: tuple[int, int], more: int = 0) -> bool:
    """Wait until the rack has no more threads and descriptors than before, but for some."""
    return within(
        10, lambda: threads(rack) <= before[0] + more and descriptors(rack) <= before[1] + more
    )


@pytest.mark.parametrize("name", SCENES)
def test_scene(scene: Path, rack: RackProcess, name: str) -> None:
    before = threads(rack), descriptors(rack)
    with play(scene, rack, name) as program:
        out, fault = program.communicate(timeout=100)
    assert (program.returncode, fault) == (0, "")
    assert out.endswith("played\n")
    assert holds_no_more(rack, before)


def test_two_hundred_threads_leave_nothing_in_the_rack(scene: Path, rack: RackProcess) -> None:
    before = threads(rack), descriptors(rack)
    with play(scene, rack, "many") as program:
        assert program.stdout is not None
        line = program.stdout.readline()
        assert line == "waiting\n", program.communicate(timeout=10)[1]
        # The main thread has its connection and the anchor; the other 200 have gone.
        assert holds_no_more(rack, before, more=2)
        out, _ = program.communicate("\n", timeout=60)
    assert (program.returncode, out) == (0, "played\n")
    assert holds_no_more(rack, before)


def test_a_rack_without_descriptors_recovers(scene: Path, rack: RackProcess) -> None:
    """Programs that it has go on; a new one finds no slot, and finds it once there is room."""
    before = threads(rack), descriptors(rack)
    with play(scene, rack, "starved") as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == "at work\n"
        limits = resource.prlimit(pid_of(rack), resource.RLIMIT_NOFILE)
        none_left = (first_free_descriptor(rack), limits[1])
        resource.prlimit(pid_of(rack), resource.RLIMIT_NOFILE, none_left)
        try:
            print(file=program.stdin, flush=True)
            assert program.stdout.readline() == "refused\n"
        finally:
            resource.prlimit(pid_of(rack), resource.RLIMIT_NOFILE, limits)
        out, fault = program.communicate("\n", timeout=60)
    assert (program.returncode, fault, out) == (0, "", "played\n")
    assert holds_no_more(rack, before)

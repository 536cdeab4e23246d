"""Many keys in one rack: what they cost, and what a program pays for them."""

import ctypes
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ukey_emulator import module_path
from ukey_emulator.remote import RackProcess, Remote

KEYS = 1_000
FRESH = 200  # keys made from a snapshot


@dataclass(frozen=True)
class Figure:
    """A value that was measured, and what it may be at most."""

    what: str
    value: float
    unit: str
    most: float


def figures() -> Iterator[Figure]:
    """Measure a rack with a thousand keys, one that a test has for itself, and one that stays."""
    with RackProcess.start() as rack, rack.remote() as remote:
        remote.new_key()
        first, threads = _resident(rack.pid), _count(rack.pid, "task")
        taken = _timed(lambda: _make(remote, KEYS - 1))
        yield Figure("make one of 1,000 keys", taken / (KEYS - 1) * 1e3, "ms", 5)
        each = (_resident(rack.pid) - first) / (KEYS - 1)
        yield Figure("memory of one of 1,000 keys", each, "KiB", 200)
        yield Figure("open files of 1,000 keys", _count(rack.pid, "fd"), "", 200)
        more = _count(rack.pid, "task") - threads
        yield Figure("threads for 999 keys more", max(0, more), "", 1)
        yield Figure("fresh key from a snapshot", _fresh(remote) * 1e3, "ms", 2)
    with tempfile.TemporaryDirectory(prefix="ukey-bench-") as folder:
        home = Path(folder)
        with RackProcess.start(home) as rack, rack.remote() as remote:
            _make(remote, KEYS)
        begun = time.perf_counter()
        with RackProcess.start(home), Remote(home) as remote:
            yield Figure("rack up with 1,000 keys", time.perf_counter() - begun, "s", 3)
            yield Figure("C_GetSlotList of 1,000 keys", _listing(home) * 1e3, "ms", 100)
            taken = statistics.median(_timed(remote.status) for _ in range(5))
            yield Figure("rack.status of 1,000 keys", taken * 1e3, "ms", 100)


def _make(remote: Remote, count: int) -> None:
    for _ in range(count):
        remote.new_key()


def _fresh(remote: Remote) -> float:
    """Give the median time that it takes to make a key from a snapshot."""
    remote.snapshot("key-1", "fresh")
    return statistics.median(_timed(lambda: remote.new_key_from("fresh")) for _ in range(FRESH))


def _listing(home: Path) -> float:
    """Give the time of C_GetSlotList, asked for the number of slots and for their list."""
    os.environ["UKEY_HOME"] = str(home)
    module = ctypes.CDLL(str(module_path()))
    count = ctypes.c_ulong()
    if module.C_Initialize(None):
        raise RuntimeError("no module")

    def listing() -> None:
        module.C_GetSlotList(1, None, ctypes.byref(count))
        slots = (ctypes.c_ulong * count.value)()
        module.C_GetSlotList(1, slots, ctypes.byref(count))

    taken = statistics.median(_timed(listing) for _ in range(20))
    module.C_Finalize(None)
    return taken


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _resident(pid: int) -> int:
    """Give the memory that a process has in use, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return int(status.split("VmRSS:")[1].split()[0])


def _count(pid: int, what: str) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/{what}").iterdir())

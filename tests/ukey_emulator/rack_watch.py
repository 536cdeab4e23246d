"""What a rack's process holds, seen from outside, and waiting until that is as it was."""

import resource
import time
from collections.abc import Callable
from pathlib import Path

from ukey_emulator.remote import RackProcess


def pid_of(rack: RackProcess) -> int:
    return rack._process.pid


def threads(rack: RackProcess) -> int:
    return len(list(Path(f"/proc/{pid_of(rack)}/task").iterdir()))


def descriptors(rack: RackProcess) -> int:
    return len(list(Path(f"/proc/{pid_of(rack)}/fd").iterdir()))


def first_free_descriptor(rack: RackProcess) -> int:
    taken = {int(path.name) for path in Path(f"/proc/{pid_of(rack)}/fd").iterdir()}
    return min(set(range(len(taken) + 1)) - taken)


def resident_kilobytes(rack: RackProcess) -> int:
    pages = int(Path(f"/proc/{pid_of(rack)}/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def within(seconds: float, condition: Callable[[], object]) -> bool:
    """Wait until it is so, at most so long; a thread takes a moment to end."""
    end = time.monotonic() + seconds
    while not (done := bool(condition())) and time.monotonic() < end:
        time.sleep(0.02)
    return done

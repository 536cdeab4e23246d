"""The programs of a recording: from C_Initialize to C_Finalize, the calls that reach a device."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from .answers import GET_INFO
from .file import Call

_OK = 0


@dataclass
class Life:
    """What one process called between C_Initialize and C_Finalize, in the order of beginning."""

    program: str
    calls: list[Call] = field(default_factory=list)

    @property
    def threads(self) -> int:
        """How many threads made the calls."""
        return len({call.tid for call in self.calls})


def lives(calls: Iterable[Call]) -> list[Life]:
    """Give the lives, those that began first before the others.

    Left out are calls that the module answers itself, and those that it got outside of a life.
    """
    begun: list[tuple[float, Life]] = []
    by_process: dict[int, list[Call]] = defaultdict(list)
    for call in calls:
        by_process[call.pid].append(call)
    for own in by_process.values():
        life: Life | None = None
        for call in sorted(own, key=lambda each: each.n):
            if call.function.name == "C_Initialize" and call.rv == _OK:
                life = Life(call.program)
                begun.append((call.time, life))
            elif call.function.name == "C_Finalize" and call.rv == _OK:
                life = None
            elif life is not None and not call.function.local and call.request is not None:
                life.calls.append(call)
    return [life for _, life in sorted(begun, key=lambda each: each[0])]


def info(calls: Iterable[Call]) -> bytes | None:
    """Give the CK_INFO that C_GetInfo told first, None if nobody asked."""
    for call in calls:
        if call.function.name == GET_INFO and call.rv == _OK and call.results:
            first = call.results[0]
            return first if isinstance(first, bytes) else None
    return None

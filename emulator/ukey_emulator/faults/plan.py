"""The faults that are armed: counting what they meet, and holding up those that hang."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count

from .caller import Caller
from .fault import Fault, Meeting, What, Where
from .reading import FaultError
from .words import STEPS, there_are

_LOOK = 0.2  # seconds between looks whether anybody still waits for a call that hangs


class Dropped(ConnectionError):  # noqa: N818 - a connection that is dropped is what it is
    """Faults break the connection that the call came by: those of these names."""

    def __init__(self, names: str) -> None:
        super().__init__(f"{names} dropped the connection")


@dataclass(frozen=True, slots=True)
class FaultInfo:
    """A fault that is armed.

    `members` are the words that it was told in; `met` counts the calls that it concerns, `fired`
    those at which it has happened, `waiting` those that hang in it now.
    """

    name: str
    members: dict[str, object]
    met: int
    fired: int
    waiting: int


@dataclass(slots=True, eq=False)
class _Armed:
    fault: Fault
    met: int = 0
    fired: int = 0
    waiting: int = 0
    released: int = 0  # how often those that wait have been let go

    def info(self) -> FaultInfo:
        members = {"name": self.fault.name, **self.fault.members}
        return FaultInfo(self.fault.name, members, self.met, self.fired, self.waiting)


class FaultPlan:
    """The faults of a rack; all methods may be called by many threads.

    `armed` tells whether there are any: who is in a hurry looks at that alone. `watch` is told
    when the first fault that concerns PKCS#11 is about to be armed (True) and when the last of
    them is so no more (False).

    A fault meets the calls that begin after it was added. What it meets is counted for itself,
    whatever other faults do to the same call, in the order in which the calls come.
    """

    def __init__(self, watch: Callable[[bool], None] = lambda _: None) -> None:
        self.armed = False
        self._watch = watch
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._faults: dict[str, _Armed] = {}
        self._places: dict[tuple[Where, str | int], tuple[_Armed, ...]] = {}
        self._closed = False
        self._thread = threading.local()

    # What tests do

    def add(self, *faults: Fault) -> tuple[FaultInfo, ...]:
        """Arm faults, all of them or none; those without a name are called fault-N.

        FaultError with the code `fault_exists`.
        """
        with self._lock:
            added: dict[str, _Armed] = {}
            for fault in faults:
                name = fault.name or self._free_name(added)
                if name in self._faults or name in added:
                    raise FaultError(
                        f"there is a fault {name} already: choose another name, or clear that one",
                        "name",
                        "fault_exists",
                    )
                added[name] = _Armed(replace(fault, name=name))
            self._arm({**self._faults, **added})
            return tuple(armed.info() for armed in added.values())

    def list(self) -> tuple[FaultInfo, ...]:
        """Tell of all faults, in the order in which they were added."""
        with self._lock:
            return tuple(armed.info() for armed in self._faults.values())

    def clear(self, name: str | None = None) -> tuple[FaultInfo, ...]:
        """Disarm a fault, or all; what hangs in it goes on. Give how they ended."""
        with self._changed:
            gone = self._chosen(name)
            for armed in gone:
                armed.released += 1
            self._arm({n: kept for n, kept in self._faults.items() if kept not in gone})
            self._changed.notify_all()
            return tuple(armed.info() for armed in gone)

    def release(self, name: str | None = None) -> int:
        """Let the calls go on that hang in a fault, or in any; give how many. It stays armed."""
        with self._changed:
            chosen = self._chosen(name)
            if name is not None and chosen[0].fault.what is not What.HANG:
                raise FaultError(f"nothing hangs in {name}: it is no hang = true", "name")
            waiting = 0
            for armed in chosen:
                if armed.fault.what is What.HANG:
                    armed.released += 1
                    waiting += armed.waiting
            self._changed.notify_all()
            return waiting

    def close(self) -> None:
        """Disarm all for good: the rack ends."""
        with self._lock:
            self._closed = True
        self.clear()

    # What faces and stores do

    @contextmanager
    def on_behalf(self, caller: Caller) -> Iterator[None]:
        """Carry a call out for somebody: what this thread meets meanwhile is met by them."""
        self._thread.caller = caller
        try:
            yield
        finally:
            self._thread.caller = None

    @property
    def caller(self) -> Caller | None:
        """Whom this thread carries out a call for; None in one that began when nothing was armed.

        Nor is there one for what the rack does by itself.
        """
        return getattr(self._thread, "caller", None)

    def meet(self, meeting: Meeting) -> tuple[Fault, ...]:
        """Count a meeting, and give the faults that happen at it.

        Those that make it wait come before the one, at most, that decides how it ends: the first
        that was added. For others that would happen too, the meeting counts but they do not.
        """
        if not self._places.get((meeting.where, meeting.place)):
            return ()
        waits: tuple[Fault, ...] = ()
        decides: tuple[Fault, ...] = ()
        with self._lock:
            for armed in self._places.get((meeting.where, meeting.place), ()):
                fault = armed.fault
                if not fault.concerns(meeting):
                    continue
                happens = fault.happens(armed.met + 1)
                if meeting.asks and not happens:
                    continue
                armed.met += 1
                if happens and (fault.what.waits or not decides):
                    armed.fired += 1
                    if fault.what.waits:
                        waits += (fault,)
                    else:
                        decides = (fault,)
        found = waits + decides
        caller = self.caller
        if caller is not None:
            caller.fired += [fault.name for fault in found]
        return found

    def wait(self, fault: Fault, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Wait as that fault says: for its time, or until it is released.

        Either ends when the fault is cleared, nobody awaits the call's answer any more, or
        `goes_on` says no after a `wake`. Both are asked under the plan's lock, and must be quick.
        """
        caller = self.caller
        deadline = time.monotonic() + float(fault.value) if fault.what is What.DELAY else None
        with self._changed:
            armed = self._faults.get(fault.name)
            if armed is None or armed.fault is not fault:
                return  # it has been cleared since it was met
            released = armed.released
            armed.waiting += deadline is None
            try:
                while armed.released == released and goes_on():
                    left = _LOOK if deadline is None else min(_LOOK, deadline - time.monotonic())
                    if left <= 0 or (caller is not None and not caller.is_awaited()):
                        return
                    self._changed.wait(left)
            finally:
                armed.waiting -= deadline is None

    def wait_all(
        self, fired: tuple[Fault, ...], goes_on: Callable[[], bool] = lambda: True
    ) -> Fault | None:
        """Wait as those say that make a call wait; give the one that decides its end, if any."""
        for fault in fired:
            if not fault.what.waits:
                return fault
            self.wait(fault, goes_on)
        return None

    def wake(self) -> None:
        """Have those that wait look whether they still should."""
        if self._places:
            with self._changed:
                self._changed.notify_all()

    def _free_name(self, added: dict[str, _Armed]) -> str:
        names = (f"fault-{number}" for number in count(1))
        return next(name for name in names if name not in self._faults and name not in added)

    def _chosen(self, name: str | None) -> tuple[_Armed, ...]:
        if name is None:
            return tuple(self._faults.values())
        if name not in self._faults:
            raise FaultError(
                f"there is no fault {name}; {there_are(name, self._faults)}",
                "name",
                "no_such_fault",
            )
        return (self._faults[name],)

    def _arm(self, faults: dict[str, _Armed]) -> None:
        """Have these armed and no others; under the lock."""
        if self._closed:
            faults = {}
        places: dict[tuple[Where, str | int], tuple[_Armed, ...]] = {}
        for armed in faults.values():
            fault = armed.fault
            steps = STEPS[str(fault.place)] if fault.where is Where.STORE else (fault.place,)
            for step in steps:
                places[fault.where, step] = (*places.get((fault.where, step), ()), armed)
        before, after = _concern_calls(self._places), _concern_calls(places)
        if after and not before:
            self._watch(True)  # noqa: FBT003 - the one thing that it is told
        self._faults = faults
        self._places = places
        self.armed = bool(faults)
        if before and not after:
            self._watch(False)  # noqa: FBT003


def _concern_calls(places: dict[tuple[Where, str | int], tuple[_Armed, ...]]) -> bool:
    return any(where is Where.FUNCTION for where, _ in places)

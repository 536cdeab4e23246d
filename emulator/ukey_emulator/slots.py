"""Slots: where keys are plugged in and pulled out, seen by both faces."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from ukey_emulator.chip import Chip, PowerCut, Refusal
from ukey_emulator.epoch import Epoch
from ukey_emulator.faults import FaultPlan, Meeting, What, Where
from ukey_emulator.pad import Button, Pad
from ukey_emulator.profiles import SlotFacts
from ukey_emulator.terms import CKR

_USUAL = SlotFacts()


class Slot:
    """One slot, with a key in it or without; its name is that of the key it is for.

    `reader` is what the reader is called that its key brings along, empty if it brings none;
    `facts` are what programs are told of the slot, which stay when the key is pulled out.
    `key` is the name of the one that is in it, which may be another one, and empty if none is.
    `changes` counts how often a key was plugged in or pulled out, `sessions` how many sessions
    all applications together have open with the key that is in it now.
    """

    def __init__(self, number: int, name: str, reader: str, facts: SlotFacts) -> None:
        self.number = number
        self.name = name
        self.reader = reader
        self.facts = facts
        self.chip: Chip | None = None
        self.key = ""
        self.store: StoreFaults | None = None
        self.changes = 0
        self.sessions = 0
        self._lock = threading.Lock()

    def hold(self, chip: Chip | None, key: str = "") -> None:
        """Take a key of a name, or none; sessions with the one that was there have ended."""
        with self._lock:
            self.chip, self.key = chip, key
            self.changes += 1
            self.sessions = 0

    def count(self, chip: Chip, change: int) -> None:
        """Count sessions that are opened or closed with a key, if it is still here."""
        with self._lock:
            if self.chip is chip:
                self.sessions += change

    @property
    def description(self) -> str:
        """What is told of it to people."""
        return self.facts.description.replace("{name}", self.name)

    @contextmanager
    def closed(self) -> Iterator[bool]:
        """Keep sessions from being opened or closed meanwhile; give whether there are none."""
        with self._lock:
            yield not self.sessions


class StoreFaults:
    """What a plan does to the store of a key, from when it is plugged in to when it is pulled."""

    def __init__(self, plan: FaultPlan, key: str) -> None:
        self._plan = plan
        self._key = key
        self.pulled = False

    @property
    def armed(self) -> bool:
        """Whether there is any fault at all."""
        return self._plan.armed

    def meet(self, step: str) -> None:
        """Come to a step of the store; Refusal and PowerCut, as the plan says."""
        caller = self._plan.caller
        if caller is None:
            return
        met = Meeting(Where.STORE, step, self._key, caller.pid, caller.program)
        for fault in self._plan.meet(met):
            if fault.what.waits:
                self._plan.wait(fault, lambda: not self.pulled)
                if self.pulled:
                    raise Refusal(CKR.DEVICE_REMOVED, "the key was pulled out meanwhile")
            elif fault.what is What.POWER:
                caller.cut = True
                raise PowerCut(CKR.DEVICE_REMOVED, f"{fault.name} cuts the power")
            else:
                raise Refusal(CKR(int(fault.value)), fault.name)


class Slots:
    """All slots of a rack; plugging wakes who waits for it.

    `turn` is another number after each change, for `wait`; `epoch` is told of what is in the slots.
    `faults` are those that are armed; one that pulls a key out has `puller` do it, for whom the
    key is then no more than pulled out by hand.
    """

    def __init__(self) -> None:
        self.epoch = Epoch()
        self.turn = 0
        self._slots: dict[int, Slot] = {}
        self._changed = threading.Condition()
        self._watchers: tuple[Callable[[Slot], None], ...] = ()
        self._busy: WeakKeyDictionary[Chip, float] = WeakKeyDictionary()  # monotonic seconds
        self._pads: WeakKeyDictionary[Chip, Pad] = WeakKeyDictionary()
        self._stopping = False
        self.faults = FaultPlan(self._watch_calls)
        self.puller: Callable[[Slot, Chip], None] = self._pull

    def __iter__(self) -> Iterator[Slot]:
        return iter(list(self._slots.values()))

    def get(self, number: int) -> Slot | None:
        """Give the slot of that number, None if there is none."""
        return self._slots.get(number)

    def add(self, name: str, reader: str = "", facts: SlotFacts = _USUAL) -> Slot:
        """Add an empty slot, for a key that may bring a reader along."""
        with self._changed:
            slot = Slot(max(self._slots, default=-1) + 1, name, reader, facts)
            self._slots = {**self._slots, slot.number: slot}
        self._tell(slot)
        return slot

    def remove(self, slot: Slot) -> None:
        """Take a slot away, with whatever is in it."""
        with self._changed:
            self._hold(slot, None)
            self._slots = {n: kept for n, kept in self._slots.items() if kept is not slot}
        self._tell(slot)

    def plug(self, slot: Slot, chip: Chip, key: str = "") -> None:
        """Put a key into a slot; by its name it is another one than the slot is for."""
        self._hold(slot, chip, key or slot.name)
        self._tell(slot)

    def unplug(self, slot: Slot) -> None:
        """Pull the key out of a slot."""
        self._hold(slot, None)
        self._tell(slot)

    def watch(self, watcher: Callable[[Slot], None]) -> None:
        """Have it called after each change, with the slot, by the thread that makes the change.

        A slot that is not among the others any more has been removed.
        """
        self._watchers += (watcher,)

    def unwatch(self, watcher: Callable[[Slot], None]) -> None:
        """Have it called no more."""
        self._watchers = tuple(known for known in self._watchers if known != watcher)

    def changes(self) -> dict[int, int]:
        """Give the count of changes of each slot, to tell later what has changed since."""
        return {slot.number: slot.changes for slot in self._slots.values()}

    def wait(self, turn: int) -> None:
        """Wait until something has changed since it was that turn."""
        with self._changed:
            self._changed.wait_for(lambda: self.turn != turn)

    def linger(
        self, chip: Chip, seconds: float, given_up: Callable[[], bool] = lambda: False
    ) -> bool:
        """Wait until a key has spent so many seconds on something, after all that it has to do.

        Tells whether it is still there.

        The wait ends at once when the key is pulled out, the rack stops, or it is given up, which
        is looked at after each `wake`. Nobody else waits for it but who wants the same key.
        """
        with self._changed:
            begin = max(time.monotonic(), self._busy.get(chip, 0.0))
            end = self._busy[chip] = begin + seconds
            there = self._stays(chip, end, given_up)
            if self._busy[chip] == end and given_up():
                self._busy[chip] = time.monotonic()
            return there

    def _stays(self, chip: Chip, end: float, done: Callable[[], bool]) -> bool:
        """Wait until it is done, but no longer than to the end; tell whether the key is still in.

        Under the lock, which others have while it waits.
        """
        slot = next((each for each in self if each.chip is chip), None)
        while slot is not None and slot.chip is chip and not self._stopping:
            left = end - time.monotonic()
            if left <= 0 or done() or not self._changed.wait(left):
                break
        return slot is not None and slot.chip is chip

    def press(self, chip: Chip, act: bytes | Button) -> None:
        """Do something on a key's PIN pad: type a PIN, or press a button."""
        with self._changed:
            self._pads.setdefault(chip, Pad()).acts.append(act)
            self._changed.notify_all()

    def typed(
        self, chip: Chip, seconds: float, given_up: Callable[[], bool]
    ) -> bytes | Button | None:
        """Give what the holder does next on a key's pad, waiting so long at most; None for nothing.

        The wait ends as that of `linger`.
        """
        with self._changed:
            pad = self._pads.setdefault(chip, Pad())
            pad.asking = True
            try:
                end = time.monotonic() + seconds
                there = self._stays(chip, end, lambda: bool(pad.acts) or given_up())
                return pad.acts.popleft() if there and pad.acts else None
            finally:
                pad.asking = False

    def pad(self, chip: Chip) -> tuple[int, bool]:
        """Tell how much is still to be typed on a key's pad, and whether a call waits for it."""
        with self._changed:
            pad = self._pads.get(chip, Pad())
            return len(pad.acts), pad.asking

    def stop(self) -> None:
        """Have nobody linger any more, and nothing hang in a fault."""
        self.faults.close()
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """Wake all who wait, so that they look again."""
        with self._changed:
            self.turn += 1
            self._changed.notify_all()
        self.faults.wake()

    def _tell(self, slot: Slot) -> None:
        for watcher in self._watchers:
            watcher(slot)
        self.wake()

    def _hold(self, slot: Slot, chip: Chip | None, key: str = "") -> None:
        if slot.store is not None:
            # Who hangs in its store may hold what is needed to empty the slot.
            slot.store.pulled = True
            self.faults.wake()
        with self.epoch.change():
            slot.hold(chip, key)
        with self._changed:
            # Who lingers with the key that was there holds up those who are told next.
            self._changed.notify_all()
        if chip is not None:
            slot.store = StoreFaults(self.faults, key)
            chip.beware(slot.store)

    def _pull(self, slot: Slot, chip: Chip) -> None:
        if slot.chip is chip:
            self.unplug(slot)
            chip.close()

    def _watch_calls(self, begins: bool) -> None:  # noqa: FBT001 - the one thing that it is told
        """While a fault may meet calls, have programs make each one of them."""
        (self.epoch.begin if begins else self.epoch.end)()

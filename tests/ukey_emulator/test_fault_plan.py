"""Fault plans by themselves: what they match, how they count, and what they make wait."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukey_emulator.faults import Caller, Fault, FaultError, FaultPlan, Meeting, What, Where

NAMES = st.sampled_from(["C_Sign", "C_Login", "C_Digest"])
KEYS = st.sampled_from([None, "key-1", "key-2"])
PIDS = st.sampled_from([7, 8])
SIGN = Meeting(Where.FUNCTION, "C_Sign", "key-1", 7, "test", frozenset({1}))
HANG = Fault("", Where.FUNCTION, "C_Sign", What.HANG)
FAIL = Fault("", Where.FUNCTION, "C_Sign", What.RETURN, 0x30)


@st.composite
def faults(draw: st.DrawFn) -> Fault:
    first = draw(st.integers(1, 6))
    return Fault(
        name="",
        where=Where.FUNCTION,
        place=draw(NAMES),
        what=draw(st.sampled_from([What.RETURN, What.DELAY, What.HANG, What.DROP])),
        value=1,
        key=draw(KEYS),
        pid=draw(st.none() | PIDS),
        mechanism=draw(st.sampled_from([None, None, 1, 2])),
        first=first,
        last=draw(st.none() | st.integers(first, 9)),
        chance=draw(st.none() | st.floats(0.1, 1)),
        seed=draw(st.integers(0, 3)),
    )


meetings = st.builds(
    Meeting,
    where=st.just(Where.FUNCTION),
    place=NAMES,
    key=KEYS,
    pid=PIDS,
    mechanisms=st.frozensets(st.sampled_from([1, 2])),
    asks=st.booleans(),
)


@given(st.lists(faults(), max_size=6), st.lists(meetings, max_size=30))
def test_each_fault_counts_for_itself(plan: list[Fault], calls: list[Meeting]) -> None:
    """Two tellings of the same rules: the plan, and one list of calls for each fault."""
    armed = FaultPlan()
    armed.add(*plan)
    fired = [armed.meet(call) for call in calls]
    for number, fault in enumerate(plan, 1):
        own = replace(fault, name=f"fault-{number}")
        count = 0
        for call, happened in zip(calls, fired, strict=True):
            meant = (
                call.place == own.place
                and (own.key is None or call.key == own.key)
                and (own.pid is None or call.pid == own.pid)
                and (own.mechanism is None or own.mechanism in call.mechanisms)
            )
            here = meant and own.happens(count + 1)
            count += meant and (here or not call.asks)
            names = [each.name for each in happened]
            if own.what.waits:
                assert (own.name in names) == here
            elif own.name in names:
                assert here
            elif here:  # another has decided this call
                assert any(not each.what.waits for each in happened)
        assert armed.list()[number - 1].met == count


@given(st.lists(faults(), max_size=6), st.lists(meetings, max_size=20))
def test_one_fault_at_most_decides_and_it_is_the_first(
    plan: list[Fault], calls: list[Meeting]
) -> None:
    armed = FaultPlan()
    armed.add(*plan)
    for call in calls:
        happened = armed.meet(call)
        waits = [fault.what.waits for fault in happened]
        assert waits == sorted(waits, reverse=True)
        assert waits.count(False) <= 1


@given(st.integers(1, 5), st.integers(0, 5), st.integers(1, 20))
def test_from_to_and_until_cleared(first: int, more: int, calls: int) -> None:
    armed = FaultPlan()
    armed.add(replace(FAIL, first=first, last=first + more))
    fired = [bool(armed.meet(SIGN)) for _ in range(calls)]
    assert fired == [first <= n <= first + more for n in range(1, calls + 1)]
    (info,) = armed.clear()
    assert (info.met, info.fired) == (calls, sum(fired))
    assert not armed.meet(SIGN)


@given(st.integers(-(2**53), 2**53), st.floats(0.01, 1))
def test_the_same_seed_is_the_same_noise(seed: int, chance: float) -> None:
    def noise(name: str) -> list[bool]:
        armed = FaultPlan()
        armed.add(replace(FAIL, name=name, chance=chance, seed=seed))
        return [bool(armed.meet(SIGN)) for _ in range(40)]

    assert noise("a") == noise("a")


def test_a_chance_is_about_as_often_as_it_says() -> None:
    armed = FaultPlan()
    armed.add(replace(FAIL, chance=0.1, seed=7), replace(FAIL, name="b", chance=0.1, seed=7))
    rows = [[fault.name for fault in armed.meet(SIGN)] for _ in range(2000)]
    assert 140 < sum("fault-1" in row for row in rows) < 260
    assert sum(row == ["b"] for row in rows) > 100  # another name, another noise
    other = FaultPlan()
    other.add(replace(FAIL, chance=0.1, seed=8))
    assert [bool(other.meet(SIGN)) for _ in range(2000)] != ["fault-1" in row for row in rows]


def test_asking_for_a_length_and_the_output_after_it_are_one_meeting() -> None:
    asks = replace(SIGN, asks=True)
    armed = FaultPlan()
    armed.add(replace(FAIL, first=3, last=3))
    row = [bool(armed.meet(call)) for call in (asks, SIGN, asks, SIGN, asks, SIGN, asks, SIGN)]
    assert row == [False] * 4 + [True] + [False] * 3
    corrupt = replace(FAIL, what=What.CORRUPT)
    assert not corrupt.concerns(asks)
    assert not replace(FAIL, what=What.PULL, value="after").concerns(asks)
    assert replace(FAIL, what=What.PULL, value="before").concerns(asks)


def test_threads_lose_no_count() -> None:
    armed = FaultPlan()
    armed.add(*(replace(FAIL, first=n, last=n) for n in (100, 200, 300)))
    fired: list[str] = []

    def call() -> None:
        for _ in range(100):
            fired.extend(fault.name for fault in armed.meet(SIGN))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(fired) == ["fault-1", "fault-2", "fault-3"]
    assert [info.met for info in armed.list()] == [400] * 3


def test_a_plan_is_added_whole_or_not_at_all() -> None:
    armed = FaultPlan()
    armed.add(replace(FAIL, name="a"))
    with pytest.raises(FaultError, match="there is a fault a already") as raised:
        armed.add(replace(FAIL, name="b"), replace(FAIL, name="a"))
    assert raised.value.code == "fault_exists"
    assert [info.name for info in armed.list()] == ["a"]
    with pytest.raises(FaultError, match="there is a fault b already"):
        armed.add(replace(FAIL, name="b"), replace(FAIL, name="b"))
    armed.add(replace(FAIL, name="third"))
    with pytest.raises(FaultError, match="there is no fault thrid; close to it are: third"):
        armed.clear("thrid")
    with pytest.raises(FaultError, match="nothing hangs in a"):
        armed.release("a")


def test_names_that_nobody_chose_are_the_first_that_are_free() -> None:
    """So the same plan has the same names, and the same noise, whatever was armed before."""
    armed = FaultPlan()
    armed.add(replace(FAIL, name="fault-2"))
    assert [info.name for info in armed.add(FAIL, FAIL)] == ["fault-1", "fault-3"]
    armed.clear()
    assert [info.name for info in armed.add(FAIL)] == ["fault-1"]


def test_who_watches_hears_of_the_first_and_the_last_that_concerns_functions() -> None:
    heard: list[tuple[bool, bool]] = []
    armed = FaultPlan(lambda begins: heard.append((begins, armed.armed)))
    armed.add(Fault("card", Where.APDU, 0x87, What.HANG))
    assert (heard, armed.armed) == ([], True)
    armed.add(replace(FAIL, name="a"))
    armed.add(replace(FAIL, name="b"))
    armed.clear("a")
    assert [begins for begins, _ in heard] == [True]
    armed.clear("b")
    assert [begins for begins, _ in heard] == [True, False]
    armed.clear()
    armed.add(FAIL)
    assert heard[2] == (True, False)  # before it can be met
    armed.close()
    armed.add(FAIL)
    assert [begins for begins, _ in heard] == [True, False] * 2
    assert not armed.armed


def _waiting(plan: FaultPlan, count: int = 1) -> None:
    deadline = time.monotonic() + 20
    while sum(info.waiting for info in plan.list()) != count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


class _Hanging:
    """A thread that hangs in a plan."""

    def __init__(self, plan: FaultPlan, goes_on: Callable[[], bool] = lambda: True) -> None:
        self.awaited = True
        self._plan, self._goes_on = plan, goes_on
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with self._plan.on_behalf(Caller(7, "test", lambda: self.awaited)):
            (fault,) = self._plan.meet(SIGN)
            self._plan.wait(fault, self._goes_on)

    def ends(self) -> bool:
        self._thread.join(20)
        return not self._thread.is_alive()


def test_a_hang_ends_when_it_is_released_and_the_next_one_hangs_again() -> None:
    plan = FaultPlan()
    plan.add(replace(HANG, name="a"))
    for name in ("a", None):
        first, second = _Hanging(plan), _Hanging(plan)
        _waiting(plan, 2)
        assert plan.release(name) == 2
        assert first.ends()
        assert second.ends()
        assert plan.list()[0].waiting == 0
    assert plan.list()[0].fired == 4


def test_a_hang_ends_when_it_is_cleared_or_the_plan_is_closed() -> None:
    for end in (FaultPlan.clear, FaultPlan.close):
        plan = FaultPlan()
        plan.add(HANG)
        hanging = _Hanging(plan)
        _waiting(plan)
        end(plan)
        assert hanging.ends()


def test_a_hang_ends_with_who_waits_for_it_and_with_the_key() -> None:
    plan = FaultPlan()
    plan.add(HANG)
    left = _Hanging(plan)
    _waiting(plan)
    left.awaited = False
    assert left.ends()
    plugged = [True]
    pulled = _Hanging(plan, lambda: plugged[0])
    _waiting(plan)
    plugged[0] = False
    plan.wake()
    assert pulled.ends()


def test_a_delay_ends_by_itself_or_when_it_is_cleared() -> None:
    plan = FaultPlan()
    plan.add(replace(FAIL, what=What.DELAY, value=0.01))
    assert _Hanging(plan).ends()
    plan.clear()
    plan.add(replace(FAIL, what=What.DELAY, value=3600.0))
    slow = _Hanging(plan)
    while plan.list()[0].fired == 0:
        time.sleep(0.005)
    assert plan.release() == 0
    plan.clear()
    assert slow.ends()


def test_what_a_call_has_met_is_told_to_who_makes_it() -> None:
    plan = FaultPlan()
    plan.add(replace(FAIL, what=What.DELAY, value=0.1), FAIL)
    caller = Caller(7, "test", lambda: True)
    assert plan.caller is None
    with plan.on_behalf(caller):
        plan.meet(SIGN)
    assert caller.faults == "fault-1, fault-2"
    assert plan.caller is None

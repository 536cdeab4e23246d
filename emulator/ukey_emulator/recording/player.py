"""Plays one program's part of a recording: each call gets the answer that it got then.

A life of one thread is one row of calls, in their order. In one of several threads, whose calls
may come in another order each time, each session has a row of its own, and so has each question
that goes to no session. Two sessions that did the same so far may change places.

Programs ask about slots, tokens and sessions as often as their clock tells them (Java does, for a
token that may be pulled out). So QUESTIONS may come more or less often than they were recorded: one
that is not asked is passed over, one that is asked again gets the answer that it got last.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ukey_emulator.cryptoki.wire import FUNCTIONS, Function
from ukey_emulator.terms import CKR

from .differences import Difference
from .file import Call
from .lives import Life
from .matching import is_same

_NAMED = {function.name: function for function in FUNCTIONS.values()}
_WAIT = "C_WaitForSlotEvent"
QUESTIONS = frozenset(
    {
        "C_GetSlotList",
        "C_GetSlotInfo",
        "C_GetTokenInfo",
        "C_GetMechanismList",
        "C_GetMechanismInfo",
        "C_GetSessionInfo",
    }
)
"""What changes nothing, and may be asked at any time."""
_DONT_BLOCK = 1


class Row:
    """Calls that come one after the other; `place` is how many have been made."""

    def __init__(self, calls: list[Call], first: int = 0) -> None:
        self.calls = calls
        self.place = 0
        self._first = first  # argument that is compared: 1 leaves the session out

    @property
    def next(self) -> Call | None:
        """The call that is expected."""
        return self.calls[self.place] if self.place < len(self.calls) else None

    @property
    def left(self) -> list[Call]:
        """What must still be called."""
        calls = self.calls[self.place :]
        return [call for call in calls if call.function.name not in QUESTIONS]

    def finds(self, function: Function, arguments: Sequence[Any]) -> bool:
        """Go on to this call, over questions that are not asked; tell whether it is there."""
        for place in range(self.place, len(self.calls)):
            if self.expects(function, arguments, place):
                self.place = place
                return True
            if self.calls[place].function.name not in QUESTIONS:
                break
        return False

    def again(self, function: Function, arguments: Sequence[Any]) -> Call | None:
        """Give the call that answered a question last, or will answer it first; None for none."""
        if function.name not in QUESTIONS:
            return None
        made, left = self.calls[: self.place], self.calls[self.place :]
        same = (call for call in (*reversed(made), *left) if call.function is function)
        return next((call for call in same if self._same(call, arguments)), None)

    def expects(self, function: Function, arguments: Sequence[Any], place: int) -> bool:
        """Tell whether this is the call at that place."""
        if place >= len(self.calls):
            return False
        call = self.calls[place]
        return call.function is function and self._same(call, arguments)

    def begins_like(self, other: "Row", length: int) -> bool:
        """Tell whether the first calls and their answers are those of another row."""
        return len(self.calls) >= length and all(
            one.function is two.function
            and (one.rv, one.results) == (two.rv, two.results)
            and self._same(one, two.arguments)
            for one, two in zip(self.calls[:length], other.calls[:length], strict=True)
        )

    def _same(self, call: Call, arguments: Sequence[Any]) -> bool:
        recorded = (*arguments[: self._first], *call.arguments[self._first :])
        return is_same(call.function, recorded, arguments)


class Player:
    """The recording as one program sees it, from C_Initialize to C_Finalize.

    `others` gives the lives that nobody plays yet, with the function to take one: programs of one
    name that did the same so far may change places, too. `differs` hears of each difference.
    """

    def __init__(
        self,
        program: str,
        pid: int,
        life: Life | None,
        exchange: "Callable[[Life, Callable[[Life], bool]], Life | None]",
        differs: Callable[[Difference], None],
    ) -> None:
        self._program, self._pid = program, pid
        self._exchange = exchange
        self._differs = differs
        self._changed = threading.Condition()
        self._ended = False
        self._made = 0
        self._play(life)

    def _play(self, life: Life | None) -> None:
        self._life = life
        calls = life.calls if life else []
        self._together = life is None or life.threads <= 1
        self._rows: dict[Any, Row] = {}
        if self._together:
            self._rows[None] = Row(calls)
            return
        sorted_out: dict[Any, list[Call]] = {}
        for call in calls:
            sorted_out.setdefault(_row_of(call.function, call.arguments), []).append(call)
        for key, own in sorted_out.items():
            self._rows[key] = Row(own, 1 if isinstance(key, int) else 0)

    def end(self) -> None:
        """End the program's part; what it did not call is told as a difference."""
        with self._changed:
            if self._ended:
                return
            self._ended = True
            self._changed.notify_all()
            for left in [row.left for row in self._rows.values()]:
                waits = all(call.function.name == _WAIT for call in left)
                if not left or (waits and not self._together):
                    continue  # nothing, or it waited until the end, or would have
                self._differs(
                    Difference(self._program, self._pid, self._made, left[0], None, len(left))
                )

    def answer(self, name: str, arguments: tuple[Any, ...]) -> tuple[int, tuple[Any, ...]]:
        """Answer a call as it was answered then; CKR_DEVICE_ERROR where the recording differs."""
        function = _NAMED[name]
        with self._changed:
            self._made += 1
            row = self._row(function, arguments)
            if row is not None:
                call = row.next
                assert call is not None  # noqa: S101 - `_row` gives only such rows
                if self._waits(function, arguments):
                    self._await(call)
                    if self._ended:
                        return CKR.CRYPTOKI_NOT_INITIALIZED, ()
                row.place += 1
                self._changed.notify_all()
                return call.rv, call.results
            if self._waits(function, arguments) and not self._expected(function, arguments):
                self._changed.wait_for(lambda: self._ended)
                return CKR.CRYPTOKI_NOT_INITIALIZED, ()
            same = self._again(function, arguments)
            if same is not None:
                return same.rv, same.results
            self._miss(function, arguments)
        return CKR.DEVICE_ERROR, ()

    def _again(self, function: Function, arguments: Sequence[Any]) -> Call | None:
        key = None if self._together else _row_of(function, arguments)
        row = self._rows.get(key)
        return row.again(function, arguments) if row else None

    def _waits(self, function: Function, arguments: Sequence[Any]) -> bool:
        return not self._together and function.name == _WAIT and not arguments[0] & _DONT_BLOCK

    def _await(self, call: Call) -> None:
        """Wait until all has been called that had been answered when this call was."""
        ended = call.time + call.us / 1e6
        before = [row for row in self._rows.values() if row.next is not call]
        never = call.rv == CKR.CRYPTOKI_NOT_INITIALIZED

        def is_due() -> bool:
            nexts = (row.next for row in before)
            return not never and not any(one and one.time + one.us / 1e6 < ended for one in nexts)

        self._changed.wait_for(lambda: self._ended or is_due())

    def _expected(self, function: Function, arguments: Sequence[Any]) -> Call | None:
        key = None if self._together else _row_of(function, arguments)
        row = self._rows.get(key)
        return row.next if row else None

    def _row(self, function: Function, arguments: Sequence[Any]) -> Row | None:
        """Give the row whose next call this is; None if there is none."""
        key = None if self._together else _row_of(function, arguments)
        row = self._rows.get(key)
        if row is not None and row.finds(function, arguments):
            return row
        if self._together:
            return self._of_another_life(function, arguments)
        if row is None or not isinstance(key, int):
            return None
        for other, theirs in self._rows.items():
            if (
                isinstance(other, int)
                and theirs.place <= row.place
                and theirs.expects(function, arguments, row.place)
                and theirs.begins_like(row, row.place)
            ):
                self._rows[key], self._rows[other] = theirs, row
                theirs.place, row.place = row.place, theirs.place
                return theirs
        return None

    def _of_another_life(self, function: Function, arguments: Sequence[Any]) -> Row | None:
        """Play another program of that name, which did the same and now makes this call."""
        row = self._rows[None]
        if self._life is None:
            return None

        def fits(life: Life) -> bool:
            other = Row(life.calls)
            return (
                life.threads <= 1
                and other.expects(function, arguments, row.place)
                and other.begins_like(row, row.place)
            )

        life = self._exchange(self._life, fits)
        if life is None:
            return None
        self._play(life)
        self._rows[None].place = row.place
        return self._rows[None]

    def _miss(self, function: Function, arguments: tuple[Any, ...]) -> None:
        """Tell of a call that is not in the recording; one with other arguments takes its place."""
        expected = self._expected(function, arguments) or next(self._nexts(), None)
        self._differs(
            Difference(self._program, self._pid, self._made, expected, (function, arguments))
        )
        row = self._rows.get(None if self._together else _row_of(function, arguments))
        if row is not None and row.next is not None and row.next.function is function:
            row.place += 1
            self._changed.notify_all()

    def _nexts(self) -> Iterator[Call]:
        """Give the calls that are expected, the earliest one first."""
        nexts = (row.next for row in self._rows.values())
        yield from sorted((call for call in nexts if call), key=lambda call: call.n)


def _row_of(function: Function, arguments: Sequence[Any]) -> Any:  # noqa: ANN401 - a key
    """Give the key of a call's row: its session's handle, or what it asks."""
    if function.arguments and function.arguments[0].kind == "SESSION":
        return arguments[0]
    told = zip(function.arguments, arguments, strict=True)
    return function.name, *(value for argument, value in told if argument.kind != "PIN")

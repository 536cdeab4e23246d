"""Where a program left the recording, with both sides."""

from dataclasses import dataclass
from typing import Any

from ukey_emulator.cryptoki import readable
from ukey_emulator.cryptoki.readable import Detail
from ukey_emulator.cryptoki.wire import Function

from .file import Call


@dataclass(frozen=True)
class Difference:
    """A call that is not the recorded one; `number` counts the program's calls.

    `expected` is None where the recording has nothing more, `got` where the program ended before;
    then `more` tells how many calls were left.
    """

    program: str
    pid: int
    number: int
    expected: Call | None
    got: tuple[Function, tuple[Any, ...]] | None
    more: int = 0

    def as_json(self) -> dict[str, Any]:
        """Give both sides as they are read, null for the end."""
        return {
            "program": self.program,
            "pid": self.pid,
            "call": self.number,
            "expected": self._expected(),
            "got": self._got(),
        }

    def __str__(self) -> str:
        where = f"call {self.number} of {self.program}[{self.pid}] differs"
        if self.got is None:
            where = f"{self.program}[{self.pid}] ended after {self.number} calls"
        return (
            f"{where}\n  expected  {self._expected() or 'no further call'}"
            f"\n  got       {self._got() or 'no further call'}"
        )

    def _expected(self) -> str | None:
        call = self.expected
        if call is None:
            return None
        told = readable.line(call.function.name, call.as_json(Detail.DATA)["arguments"])
        more = f" and {self.more - 1} more" if self.more > 1 else ""
        return f"{told} = {readable.code_name(call.rv)}{more}"

    def _got(self) -> str | None:
        if self.got is None:
            return None
        function, arguments = self.got
        return readable.line(
            function.name, readable.arguments(function, arguments, detail=Detail.DATA)
        )


@dataclass(frozen=True)
class Unplayed:
    """A program of the recording that never came."""

    program: str
    calls: int

    def as_json(self) -> dict[str, Any]:
        """Give it as a difference whose other side never came."""
        return {"program": self.program, "calls": self.calls, "got": None}

    def __str__(self) -> str:
        return f"{self.program} never came, which made {self.calls} calls"

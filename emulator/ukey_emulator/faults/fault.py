"""A fault: where, when and what; which calls it means, and at which of them it happens."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

_DRAWS = 1 << 64


class Where(Enum):
    """Where a fault happens; the value is the member of a plan that says so."""

    FUNCTION = "function"
    APDU = "apdu"
    STORE = "store"


class What(Enum):
    """What happens; the value is the member of a plan that says so."""

    RETURN = "return"
    STATUS = "status"
    PULL = "pull"
    DELAY = "delay"
    HANG = "hang"
    POWER = "power"
    CORRUPT = "corrupt"
    DROP = "drop"
    LOGOUT = "logout"
    MEMORY = "memory"

    @property
    def waits(self) -> bool:
        """Whether the call goes on afterwards, so that something else may happen to it too."""
        return self in {What.DELAY, What.HANG}


@dataclass(frozen=True, slots=True)
class Meeting:
    """A call, a command or a step of the store, as far as faults look at it.

    `place` is a function's name, an instruction byte or a step; `key` the name of the key that it
    concerns, if any; `mechanisms` are those that it works with. One that `asks` for a length alone
    and the call that brings the output after it are one meeting.
    """

    where: Where
    place: str | int
    key: str | None = None
    pid: int = 0
    program: str = ""
    mechanisms: frozenset[int] = frozenset()
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a plan; `members` are the words that it was told in.

    Of the meetings that it concerns, counted from 1, it happens at those from `first` to `last`,
    or only with a `chance` at each of them, drawn by `seed`. `value` is what `what` wants to know:
    a return value, a status word, seconds, "before" or "after".
    """

    name: str
    where: Where
    place: str | int
    what: What
    value: int | float | str = 0
    key: str | None = None
    mechanism: int | None = None
    pid: int | None = None
    program: str | None = None
    first: int = 1
    last: int | None = None
    chance: float | None = None
    seed: int = 0
    members: Mapping[str, object] = field(default_factory=dict, compare=False)

    def concerns(self, meeting: Meeting) -> bool:
        """Tell whether it means that meeting, at whichever place it stands in the row."""
        if meeting.asks and (self.what is What.CORRUPT or self.value == "after"):
            return False  # nothing has come out of it, and nothing has been done
        return (
            self.key in {None, meeting.key}
            and self.pid in {None, meeting.pid}
            and self.program in {None, meeting.program}
            and (self.mechanism is None or self.mechanism in meeting.mechanisms)
        )

    def happens(self, count: int) -> bool:
        """Tell whether it happens at that meeting of those that it concerns."""
        if count < self.first or (self.last is not None and count > self.last):
            return False
        return self.chance is None or self._draw(count) < self.chance

    def _draw(self, count: int) -> float:
        """Draw a number from 0 to 1: always the same for this seed, name and place in the row."""
        drawn = hashlib.sha256(f"{self.seed}:{self.name}:{count}".encode()).digest()
        return int.from_bytes(drawn[:8]) / _DRAWS


def turned(output: bytes) -> bytes:
    """Give an output with one bit of it turned, in its middle: what `corrupt` does."""
    middle = len(output) // 2
    return output[:middle] + bytes([output[middle] ^ 1]) + output[middle + 1 :] if output else b""

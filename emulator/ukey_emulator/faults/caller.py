"""Who is called for: a program or a card's client, while a call of theirs is carried out."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Caller:
    """A call that is under way, in the thread that carries it out.

    `is_awaited` tells whether anybody still waits for its answer. `fired` are the names of the
    faults that it has met, and `cut` says that one of them has taken the key's power.
    """

    pid: int
    program: str
    is_awaited: Callable[[], bool]
    fired: list[str] = field(default_factory=list)
    cut: bool = False

    @property
    def faults(self) -> str:
        """The faults that it has met, as the trace tells them."""
        return ", ".join(self.fired)

"""What the standard allows a call to answer, and the judgement of an answer."""

from collections.abc import Callable, Iterable

from .values import Out, Reply

Follow = Callable[[Reply], None]


class Difference(Exception):  # noqa: N818 - an answer that the standard does not allow
    """An answer that the model does not allow.

    `what` is the code that came, or a word for what is wrong in an output; `allowed` the codes.
    """

    def __init__(self, what: str, allowed: Iterable[str] = (), detail: str = "") -> None:
        self.what = what
        self.allowed = frozenset(allowed)
        self.detail = detail
        super().__init__(f"{what} instead of {' or '.join(sorted(self.allowed))}: {detail}")


class Allowed:
    """The codes that may come.

    `faults`: the codes of faults that are true of this call; `granted` says what has to hold of
    the outputs and what changes when the call succeeds, None where it must not succeed;
    `refused` what changes with a fault.
    """

    def __init__(
        self,
        faults: Iterable[str] = (),
        granted: Follow | None = None,
        refused: Follow | None = None,
    ) -> None:
        self.faults = set(faults)
        self.granted = granted
        self.refused = refused

    @property
    def codes(self) -> set[str]:
        """All codes that may come."""
        return self.faults | ({"OK"} if self.granted else set())

    def judge(self, reply: Reply) -> None:
        """Check an answer and let the model follow it; Difference where it is not allowed."""
        if reply.faults:
            raise Difference("ABI", detail="; ".join(reply.faults))
        if reply.code not in self.codes:
            raise Difference(reply.code, self.codes)
        follow = self.granted if reply.ok else self.refused
        if follow is not None:
            follow(reply)


def refused(*codes: str) -> Allowed:
    """Allow only faults that change nothing."""
    return Allowed(codes)


def granted(follow: Follow | None = None, *, faults: Iterable[str] = ()) -> Allowed:
    """Allow success unless there are faults."""
    faults = set(faults)
    return Allowed(faults, None if faults else (follow or (lambda _: None)))


def require(holds: object, what: str, detail: object = "") -> None:
    """Demand something of an output."""
    if not holds:
        raise Difference(what, ["OK"], str(detail))


SLACK = 64  # "should not exceed it by a large amount" (§5.2)


def length_suffices(length: int, exact: int, slack: int = SLACK) -> None:
    """Demand that an announced length suffices and is not far too large (§5.2)."""
    require(exact <= length <= exact + slack, "length", f"{length} announced, {exact} needed")


def capacity_of(out: Out) -> int:
    """Return how many bytes a buffer takes."""
    return out.capacity or 0

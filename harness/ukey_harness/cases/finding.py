"""What came out of one case, before and after it is judged."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

from ukey_harness.cases.case import Case
from ukey_harness.cases.expectation import Match
from ukey_harness.verdicts.record import Call, StepRecord, step_from_json

HUNG = "The call did not return"


class Judgement(StrEnum):
    """The verdict on a case.

    EXACT: the answer that the standard names; ALLOWED: another that it allows; UNMET: something
    else; CRASHED: the module ended or hung the process; NOT_APPLICABLE: the device lacks what the
    case needs; NOT_RUN: never put to the device; BROKEN: the case itself failed.
    """

    EXACT = "exact"
    ALLOWED = "allowed"
    UNMET = "unmet"
    CRASHED = "crashed"
    NOT_APPLICABLE = "not_applicable"
    NOT_RUN = "not_run"
    BROKEN = "broken"

    @property
    def harmful(self) -> bool:
        """Whether it makes a run fail."""
        return self in {Judgement.UNMET, Judgement.CRASHED, Judgement.BROKEN}


_JUDGEMENTS = {
    Match.EXACT: Judgement.EXACT,
    Match.ALLOWED: Judgement.ALLOWED,
    Match.UNMET: Judgement.UNMET,
}


@dataclass
class Finding:
    """What one case saw: exactly one of seen, missing, unprepared, crash and fault tells it.

    missing: what the device lacks; unprepared: the call before the case that failed; crash: how the
    process ended; fault: an error of the case itself; barred: why the case was not run. steps: each
    call by itself, of a case that is judged so; the other calls are in calls.
    """

    case: str
    seen: tuple[str, ...] | None = None
    missing: str = ""
    unprepared: str = ""
    crash: str = ""
    fault: str = ""
    barred: str = ""
    notes: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    steps: list[StepRecord] = field(default_factory=list)
    output: str = ""
    started: str = ""
    seconds: float = 0.0
    worker: str = ""

    @property
    def hung(self) -> bool:
        """Whether the module kept the case until its time was over."""
        return self.crash.startswith(HUNG)

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the finding that `to_json` gave."""
        finding = cls(**values)
        finding.seen = None if finding.seen is None else tuple(finding.seen)
        finding.calls = [Call(**each) for each in values.get("calls", ())]
        finding.steps = [step_from_json(each, finding.case) for each in values.get("steps", ())]
        return finding

    def judged(self, case: Case) -> Judgement:
        """Compare what was seen with what the case expects."""
        unjudged = (
            (self.barred, Judgement.NOT_RUN),
            (self.crash, Judgement.CRASHED),
            (self.fault, Judgement.BROKEN),
            (self.missing, Judgement.NOT_APPLICABLE),
        )
        for told, judgement in unjudged:
            if told:
                return judgement
        if self.unprepared or self.seen is None:
            return Judgement.UNMET
        return _JUDGEMENTS[case.expectation.match(self.seen)]

    @property
    def actual(self) -> str:
        """What was seen, in one line."""
        if self.seen is not None:
            return ", ".join(self.seen)
        return self.crash or self.unprepared or self.missing or self.barred or self.fault

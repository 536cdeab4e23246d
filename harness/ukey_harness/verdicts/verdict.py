"""What can be said of a step, a scenario and a run."""

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """A verdict; the value stands in the record.

    MET: seen as demanded. UNMET: the device or a program showed something else. BROKEN: the case
    could not be judged, because the harness or its surroundings failed. NOT_APPLICABLE: the device
    lacks what the case needs, with the reason. NOT_RUN: never reached.
    """

    MET = "met"
    UNMET = "unmet"
    BROKEN = "broken"
    NOT_APPLICABLE = "not_applicable"
    NOT_RUN = "not_run"

    @property
    def chinese(self) -> str:
        """The word that a reader sees."""
        return _WORDS[self]

    @property
    def harmful(self) -> bool:
        """Whether it makes a run fail."""
        return self in {Verdict.UNMET, Verdict.BROKEN}


_WORDS = {
    Verdict.MET: "符合",
    Verdict.UNMET: "不符合",
    Verdict.BROKEN: "无法判定",
    Verdict.NOT_APPLICABLE: "不适用",
    Verdict.NOT_RUN: "未执行",
}


def of_scenario(steps: Iterable[Verdict]) -> Verdict:
    """Return the verdict of a scenario from its steps': the worst one, met only when all are."""
    verdicts = list(steps)
    for worst in (Verdict.BROKEN, Verdict.UNMET, Verdict.NOT_APPLICABLE, Verdict.NOT_RUN):
        if worst in verdicts:
            return worst
    return Verdict.MET if verdicts else Verdict.NOT_RUN


def of_run(scenarios: Iterable[Verdict]) -> Verdict:
    """Return the verdict of a run from its scenarios'.

    One that could not be judged or was not met decides; one that was never reached leaves the run
    unjudged; a run of which nothing applied is not applicable, not met.
    """
    verdicts = list(scenarios)
    for worst in (Verdict.BROKEN, Verdict.UNMET, Verdict.NOT_RUN, Verdict.MET):
        if worst in verdicts:
            return worst
    return Verdict.NOT_APPLICABLE if verdicts else Verdict.NOT_RUN

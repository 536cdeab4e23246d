"""Cases in the run record: the one place where their verdicts become the record's.

exact and allowed are met, unmet and crashed are unmet, the others keep their names.
"""

import threading
from dataclasses import asdict

from ukey_harness.cases.case import Case
from ukey_harness.cases.catalogue import PKCS11
from ukey_harness.cases.finding import Finding, Judgement
from ukey_harness.verdicts.blank import Blank
from ukey_harness.verdicts.journal import Journal
from ukey_harness.verdicts.record import ScenarioRecord, StepRecord, step_from_json
from ukey_harness.verdicts.verdict import Verdict

VERDICTS = {
    Judgement.EXACT: Verdict.MET,
    Judgement.ALLOWED: Verdict.MET,
    Judgement.UNMET: Verdict.UNMET,
    Judgement.CRASHED: Verdict.UNMET,
    Judgement.NOT_APPLICABLE: Verdict.NOT_APPLICABLE,
    Judgement.NOT_RUN: Verdict.NOT_RUN,
    Judgement.BROKEN: Verdict.BROKEN,
}


def planned(case: Case, suite: str = PKCS11) -> ScenarioRecord:
    """Return the entry of a case that was not run yet."""
    file, line = case.place
    return ScenarioRecord(
        id=f"{suite}/{case.id}",
        suite=suite,
        feature=case.section,
        name=f"{case.id} {case.rule}",
        file=case.file or f"cases/{file}",
        line=line,
        tags=[case.id, case.clause, f"changes:{case.changes}"],
        steps=[StepRecord(keyword=case.clause, text=case.rule, line=line)],
    )


def judged(case: Case, finding: Finding, blank: Blank, suite: str = PKCS11) -> ScenarioRecord:
    """Return the entry of a case with its verdict and what was seen; secrets are taken out."""
    entry = planned(case, suite)
    judgement = finding.judged(case)
    step = entry.steps[0]
    step.verdict = entry.verdict = VERDICTS[judgement]
    step.expected = str(case.expectation)
    step.actual = blank.text(finding.actual)
    step.detail = blank.text(finding.fault or finding.output if judgement.harmful else "")
    step.seconds = entry.seconds = finding.seconds
    step.calls = finding.calls
    entry.steps += [_clean(each, blank) for each in finding.steps]
    step.notes = [f"verdict: {judgement}", *(blank.text(each) for each in finding.notes)]
    if judgement.harmful:
        entry.reason = f"expected {step.expected}; seen {step.actual}"
    elif judgement in {Judgement.NOT_APPLICABLE, Judgement.NOT_RUN}:
        entry.reason = step.actual
    entry.started, entry.worker = finding.started, finding.worker
    return entry


def _clean(step: StepRecord, blank: Blank) -> StepRecord:
    return step_from_json(blank.value(asdict(step)), step.keyword)


class CaseJournal:
    """Takes cases down in a run's journal, from several threads."""

    def __init__(self, journal: Journal, blank: Blank, suite: str = PKCS11) -> None:
        self._journal = journal
        self._blank = blank
        self._suite = suite
        self._lock = threading.Lock()

    def plan(self, cases: list[Case]) -> None:
        """Say which cases belong to the run."""
        with self._lock:
            for case in cases:
                self._journal.planned(planned(case, self._suite))

    def take(self, case: Case, finding: Finding) -> ScenarioRecord:
        """Take one case down; return its entry."""
        entry = judged(case, finding, self._blank, self._suite)
        with self._lock:
            worker, self._journal.worker = self._journal.worker, finding.worker
            self._journal.begun(entry)
            self._journal.ended(entry)
            self._journal.worker = worker
        return entry

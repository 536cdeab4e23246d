"""Fills the record while scenarios run; pytest's hooks and the demo both feed it."""

import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from ukey_harness.verdicts.blank import Blank
from ukey_harness.verdicts.journal import Journal
from ukey_harness.verdicts.record import Call, DeviceRecord, ScenarioRecord, StepRecord
from ukey_harness.verdicts.unmet import Unmet
from ukey_harness.verdicts.verdict import Verdict, of_scenario

CALLS_KEPT = 200
REASON_LENGTH = 160


class Witness(Protocol):
    """Tells which calls crossed the device's interface: a device under test is one."""

    def calls(self) -> Sequence[Call]:
        """Return the calls since the last time this was asked."""
        ...


class Recorder:
    """Takes down scenario after scenario into a journal."""

    def __init__(self, journal: Journal, blank: Blank | None = None) -> None:
        self._journal = journal
        self.blank = blank or Blank()
        self.witness: Witness | None = None
        self.scenario: ScenarioRecord | None = None
        self.after_scenario: Callable[[], None] = lambda: None
        self._index = 0
        self._scenario_start = 0.0
        self._step_start = 0.0

    def device(self, device: DeviceRecord) -> None:
        """Take down the device under test."""
        self._journal.device(device)

    def plan(self, scenario: ScenarioRecord) -> None:
        """Take down that a scenario belongs to the run."""
        self._journal.planned(self._clean(scenario))

    def begin(self, scenario: ScenarioRecord) -> None:
        """Begin a scenario; its steps are those that the record lists, in that order."""
        self.scenario = self._clean(scenario)
        self._index = 0
        self._scenario_start = time.monotonic()
        self.scenario.started = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._journal.begun(self.scenario)

    def begin_step(self) -> None:
        """Begin the next step."""
        self._step_start = time.monotonic()
        if self.witness is not None:
            self.witness.calls()

    def note(self, text: str) -> None:
        """Leave a remark in the step that is running."""
        if self.scenario is not None and self._index < len(self.scenario.steps):
            self.scenario.steps[self._index].notes.append(self.blank.text(text))

    def end_step(self, failure: BaseException | None = None) -> StepRecord:
        """End the running step: met, or what the failure says; return it."""
        scenario = self._running()
        step = scenario.steps[self._index]
        step.seconds = round(time.monotonic() - self._step_start, 4)
        step.verdict, step.expected, step.actual, step.detail = self._judge(failure)
        self._take_calls(step)
        self._journal.step(scenario, self._index, step)
        self._index += 1
        return step

    def not_applicable(self, reason: str) -> None:
        """Say that the scenario cannot be put to this device, and why."""
        scenario = self._running()
        scenario.reason = self.blank.text(reason)
        for index, step in enumerate(scenario.steps):
            step.verdict = Verdict.NOT_APPLICABLE
            self._journal.step(scenario, index, step)
        self._index = len(scenario.steps)

    def end(self, failure: BaseException | None = None) -> ScenarioRecord:
        """End the scenario; a failure outside of its steps makes it broken."""
        scenario = self._running()
        scenario.verdict = of_scenario(step.verdict for step in scenario.steps)
        if failure is not None and not scenario.verdict.harmful:
            scenario.verdict = Verdict.BROKEN
            scenario.reason = self.blank.text(_name(failure))
        elif scenario.verdict.harmful:
            step = next(step for step in scenario.steps if step.verdict.harmful)
            scenario.reason = f"{step.keyword} {step.text} — 实为：{_short(step.actual)}"
        scenario.seconds = round(time.monotonic() - self._scenario_start, 4)
        self._journal.ended(scenario)
        self.scenario = None
        self.after_scenario()
        return scenario

    def _judge(self, failure: BaseException | None) -> tuple[Verdict, str, str, str]:
        if failure is None:
            return Verdict.MET, "", "", ""
        blank = self.blank.text
        if isinstance(failure, Unmet):
            seen = blank(failure.expected), blank(failure.actual), blank(failure.detail)
            return Verdict.UNMET, *seen
        if isinstance(failure, AssertionError):
            return Verdict.UNMET, "断言成立", blank(str(failure) or "断言不成立"), ""
        lines = "".join(traceback.format_exception(failure))
        return (
            Verdict.BROKEN,
            "步骤能够执行",
            self.blank.text(_name(failure)),
            self.blank.text(lines),
        )

    def _take_calls(self, step: StepRecord) -> None:
        if self.witness is None:
            return
        calls = list(self.witness.calls())
        step.calls_omitted = max(0, len(calls) - CALLS_KEPT)
        if step.calls_omitted:
            calls = calls[: CALLS_KEPT // 2] + calls[-CALLS_KEPT // 2 :]
        for call in calls:
            arguments = self.blank.value(call.arguments)
            call.arguments = arguments if isinstance(arguments, dict) else {}
        step.calls = calls

    def _running(self) -> ScenarioRecord:
        if self.scenario is None:
            raise RuntimeError("no scenario is running")
        return self.scenario

    def _clean(self, scenario: ScenarioRecord) -> ScenarioRecord:
        for step in scenario.steps:
            step.text = self.blank.text(step.text)
        return scenario


def _short(text: str) -> str:
    """Return a text's beginning, as far as it fits a list."""
    line = " ".join(text.split())
    return line if len(line) <= REASON_LENGTH else f"{line[:REASON_LENGTH]}…"


def _name(failure: BaseException) -> str:
    return f"{type(failure).__name__}: {failure}"

"""pytest-bdd's hooks, as far as they fill the record."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from pytest_bdd.parser import Feature, Scenario, Step
from pytest_bdd.scenario import scenario_wrapper_template_registry

from ukey_harness.verdicts.record import DeviceRecord, ScenarioRecord, StepRecord
from ukey_harness.verdicts.recorder import Recorder, Witness
from ukey_harness.verdicts.session import RecordedSession

HOOKS = "ukey-record-hooks"
DEVICE_FIXTURE = "device_under_test"


def describe(scenario: Scenario, example: dict[str, str] | None = None) -> ScenarioRecord:
    """Return a scenario as the record names it."""
    file = Path(scenario.feature.filename)
    told = all(value in scenario.name for value in (example or {}).values())
    suffix = "" if told or not example else f"[{'-'.join(example.values())}]"
    tags = scenario.tags | scenario.feature.tags
    return ScenarioRecord(
        id=f"{file.parent.name}/{file.stem}::{scenario.name}{suffix}",
        suite=file.parent.name,
        feature=scenario.feature.name or file.stem,
        name=scenario.name + suffix,
        file=f"features/{file.parent.name}/{file.name}",
        line=scenario.line_number,
        tags=sorted(tags),
        steps=[
            StepRecord(keyword=step.keyword.strip(), text=step.name, line=step.line_number)
            for step in scenario.steps
        ],
    )


class DeviceUnderTest(Witness, Protocol):
    """What the record wants to know of a device."""

    pin: str
    so_pin: str

    def record(self) -> DeviceRecord:
        """Describe the device."""
        ...


Hindrance = Callable[[Scenario, Any], str]


class RecordHooks:
    """A pytest plugin, registered when the scenarios' module is imported.

    hindrance(scenario, device) says why a scenario cannot be put to a device, "" when it can.
    """

    def __init__(self, session: RecordedSession | None, worker: str, hindrance: Hindrance) -> None:
        self._hindrance = hindrance
        self.recorder: Recorder | None = None
        if session is not None:
            self.recorder = Recorder(session.journal(worker))
            if session.leads:
                self.recorder.after_scenario = session.keep

    def pytest_bdd_apply_tag(self, tag: str, function: Callable[..., object]) -> bool:
        """Keep tags out of pytest's markers: S-B3 is no name, and -k or --suite choose."""
        del tag, function
        return True

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write down what is going to run: what is planned cannot go missing."""
        if self.recorder is None:
            return
        for item in session.items:
            function = getattr(item, "function", None)
            template = None
            if function is not None:
                template = scenario_wrapper_template_registry.get(function)
            if template is not None:
                example = _example(item)
                self.recorder.plan(describe(template.render(example), example))

    def pytest_bdd_before_scenario(
        self, request: pytest.FixtureRequest, feature: Feature, scenario: Scenario
    ) -> None:
        """Begin the scenario, or say why it cannot be put to this device."""
        del feature
        if self.recorder is not None:
            self.recorder.begin(describe(scenario, _example(request.node)))
        try:
            device: DeviceUnderTest = request.getfixturevalue(DEVICE_FIXTURE)
        except Exception as error:  # noqa: BLE001 - whatever a device does when it is opened
            if self.recorder is not None:
                self.recorder.end(error)
            # Without the device no scenario can be judged: the others stay not run.
            pytest.exit(f"the device cannot be used: {error}", pytest.ExitCode.USAGE_ERROR)
        reason = self._hindrance(scenario, device)
        if self.recorder is not None:
            if self.recorder.witness is None:
                self.recorder.witness = device
                self.recorder.device(device.record())
            self.recorder.blank.add(device.pin)
            self.recorder.blank.add(device.so_pin)
            if reason:
                self.recorder.not_applicable(reason)
                self.recorder.end()
        if reason:
            pytest.skip(reason)

    def pytest_bdd_before_step(self, step: Step) -> None:
        """Begin a step."""
        del step
        if self.recorder is not None:
            self.recorder.begin_step()

    def pytest_bdd_after_step(self, step: Step) -> None:
        """End a step that was met."""
        del step
        if self.recorder is not None:
            self.recorder.end_step()

    def pytest_bdd_step_error(self, step: Step, exception: Exception) -> None:
        """End a step that was not."""
        del step
        if self.recorder is not None:
            self.recorder.end_step(exception)

    def pytest_bdd_step_func_lookup_error(self, step: Step, exception: Exception) -> None:
        """End a step that nobody has defined."""
        del step
        if self.recorder is not None:
            self.recorder.begin_step()
            self.recorder.end_step(exception)

    def pytest_bdd_after_scenario(self, scenario: Scenario) -> None:
        """End the scenario."""
        del scenario
        if self.recorder is not None:
            self.recorder.end()

    def note(self, text: str) -> None:
        """Leave a remark in the step that is running."""
        if self.recorder is not None:
            self.recorder.note(text)


def _example(node: Any) -> dict[str, str]:  # noqa: ANN401 - a pytest item
    callspec = getattr(node, "callspec", None)
    found: dict[str, str] = (
        {} if callspec is None else callspec.params.get("_pytest_bdd_example", {})
    )
    return found


def worker_name() -> str:
    """Return what pytest-xdist calls this process, "main" without it."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")

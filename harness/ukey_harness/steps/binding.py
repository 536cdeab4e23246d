"""Joins the feature files, the step definitions and the record to a pytest run.

A test module binds the scenarios with two lines:

    from pytest_bdd import scenarios
    scenarios(*bound_features())
"""

import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import pytest
from pytest_bdd.parser import Scenario

from ukey_harness.device.capability import missing, needs_of
from ukey_harness.device.opening import device_of
from ukey_harness.device.port import Device
from ukey_harness.features_folder import features_folder, suite_names
from ukey_harness.steps.grammar import needs_of_steps
from ukey_harness.steps.stage import Stage
from ukey_harness.steps.workplace import Desk
from ukey_harness.steps.worlds import WorldPool
from ukey_harness.verdicts.hooks import RecordHooks, worker_name
from ukey_harness.verdicts.pytest_run import DEVICE, running
from ukey_harness.verdicts.session import session_of
from ukey_harness.views.files import write_report

HOOKS = "ukey-record-hooks"
DEFAULT_DEVICE = "emulated"
DEFINITIONS = ("key", "portal", "binding", "sealing", "renewal", "pin", "trouble")


def load_definitions() -> list[object]:
    """Import the step definitions and return their modules."""
    return [import_module(f"ukey_harness.steps.definitions.{name}") for name in DEFINITIONS]


def bound_features(names: Sequence[str] = ()) -> list[str]:
    """Register steps, fixtures and record with the running pytest; return the features' paths.

    names: the suites that are wanted (default: all).
    """
    config = running[-1]
    manager = config.pluginmanager
    if not manager.has_plugin(HOOKS):
        session = session_of(config)
        if session is not None:
            session.writer = write_report
        hooks = RecordHooks(session, worker_name(), hindrance)
        manager.register(hooks, HOOKS)
        manager.register(ScenarioFixtures(hooks), "ukey-scenario-fixtures")
        for module in load_definitions():
            manager.register(module)
    return [str(features_folder() / name) for name in names or suite_names()]


def hindrance(scenario: Scenario, device: Device) -> str:
    """Say why a scenario cannot be put to a device, "" when it can.

    What it needs is told by its tags (@需要拔插) and by the steps that it uses.
    """
    steps = [(step.type, step.name) for step in scenario.steps]
    needs = needs_of(scenario.tags | scenario.feature.tags) | needs_of_steps(steps)
    return missing(needs, device.capabilities)


class ScenarioFixtures:
    """The fixtures that scenarios stand on: one device, desk and world pool per process."""

    def __init__(self, hooks: RecordHooks) -> None:
        self._hooks = hooks

    @pytest.fixture(scope="session")
    def device_under_test(self, request: pytest.FixtureRequest) -> Iterator[Device]:
        """Open the device that --device names, and look at it."""
        name = request.config.getoption(DEVICE) or DEFAULT_DEVICE
        with device_of(str(name)) as device:
            yield device

    @pytest.fixture(scope="session")
    def desk(self) -> Iterator[Desk]:
        """Start the holder's workplace."""
        with tempfile.TemporaryDirectory(prefix="ukey-desk-") as folder, Desk(Path(folder)) as desk:
            yield desk

    @pytest.fixture(scope="session")
    def world_pool(self) -> Iterator[WorldPool]:
        """Keep the worlds."""
        pool = WorldPool()
        yield pool
        pool.close()

    @pytest.fixture
    def stage(
        self, device_under_test: Device, desk: Desk, world_pool: WorldPool
    ) -> Iterator[Stage]:
        """Set a stage with a fresh key, plugged in and empty."""
        world_pool.sweep()
        device_under_test.fresh()
        stage = Stage(device_under_test, desk, world_pool, self._hooks.note)
        yield stage
        stage.close()

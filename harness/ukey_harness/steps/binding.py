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

from ukey_harness import plugin
from ukey_harness.features_folder import features_folder, suite_names
from ukey_harness.device.opening import device_of
from ukey_harness.device.port import Device
from ukey_harness.steps.stage import Stage
from ukey_harness.steps.worlds import WorldPool
from ukey_harness.steps.workplace import Desk
from ukey_harness.verdicts.hooks import RecordHooks, worker_name
from ukey_harness.verdicts.session import session_of

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
    config = plugin.running[-1]
    manager = config.pluginmanager
    if not manager.has_plugin(HOOKS):
        hooks = RecordHooks(session_of(config), worker_name())
        manager.register(hooks, HOOKS)
        manager.register(ScenarioFixtures(hooks), "ukey-scenario-fixtures")
        for module in load_definitions():
            manager.register(module)
    return [str(features_folder() / name) for name in names or suite_names()]


class ScenarioFixtures:
    """The fixtures that scenarios stand on: one device, desk and world pool per process."""

    def __init__(self, hooks: RecordHooks) -> None:
        self._hooks = hooks

    @pytest.fixture(scope="session")
    def device_under_test(self, request: pytest.FixtureRequest) -> Iterator[Device]:
        """The device that --device names, opened and looked at."""
        name = request.config.getoption(plugin.DEVICE) or DEFAULT_DEVICE
        with device_of(str(name)) as device:
            yield device

    @pytest.fixture(scope="session")
    def desk(self) -> Iterator[Desk]:
        """The holder's workplace."""
        with tempfile.TemporaryDirectory(prefix="ukey-desk-") as folder, Desk(Path(folder)) as desk:
            yield desk

    @pytest.fixture(scope="session")
    def world_pool(self) -> Iterator[WorldPool]:
        """The worlds."""
        pool = WorldPool()
        yield pool
        pool.close()

    @pytest.fixture
    def stage(
        self, device_under_test: Device, desk: Desk, world_pool: WorldPool
    ) -> Iterator[Stage]:
        """A stage with a fresh key, plugged in and empty."""
        world_pool.sweep()
        device_under_test.fresh()
        stage = Stage(device_under_test, desk, world_pool, self._hooks.note)
        yield stage
        stage.close()

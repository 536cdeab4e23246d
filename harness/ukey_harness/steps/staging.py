"""The fixtures that scenarios stand on: one device, desk and world pool for each process."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ukey_harness.device.opening import device_of
from ukey_harness.device.port import Device
from ukey_harness.steps.stage import Stage
from ukey_harness.steps.workplace import Desk
from ukey_harness.steps.worlds import WorldPool
from ukey_harness.verdicts.hooks import HOOKS, RecordHooks
from ukey_harness.verdicts.pytest_run import DEVICE

DEFAULT_DEVICE = "emulated"


@pytest.fixture(scope="session")
def device_under_test(request: pytest.FixtureRequest) -> Iterator[Device]:
    """Open the device that --device names, and look at it."""
    name = request.config.getoption(DEVICE) or DEFAULT_DEVICE
    with device_of(str(name)) as device:
        yield device


@pytest.fixture(scope="session")
def desk() -> Iterator[Desk]:
    """Start the holder's workplace."""
    with tempfile.TemporaryDirectory(prefix="ukey-desk-") as folder, Desk(Path(folder)) as desk:
        yield desk


@pytest.fixture(scope="session")
def world_pool() -> Iterator[WorldPool]:
    """Keep the worlds."""
    pool = WorldPool()
    yield pool
    pool.close()


@pytest.fixture
def stage(
    request: pytest.FixtureRequest, device_under_test: Device, desk: Desk, world_pool: WorldPool
) -> Iterator[Stage]:
    """Set a stage with a fresh key, plugged in and empty."""
    hooks = request.config.pluginmanager.get_plugin(HOOKS)
    if not isinstance(hooks, RecordHooks):
        raise TypeError("the record's hooks are not registered: call bound_features first")
    world_pool.sweep()
    device_under_test.fresh()
    stage = Stage(device_under_test, desk, world_pool, hooks.note)
    yield stage
    stage.close()

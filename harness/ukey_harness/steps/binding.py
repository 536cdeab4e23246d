"""Joins the feature files, the step definitions and the record to a pytest run.

A test module binds the scenarios with two lines:

    from pytest_bdd import scenarios
    scenarios(*bound_features())
"""

from collections.abc import Sequence
from importlib import import_module

from pytest_bdd.parser import Scenario

from ukey_harness.device.capability import missing, needs_of
from ukey_harness.device.port import Device
from ukey_harness.features_folder import features_folder, suite_names
from ukey_harness.steps import staging
from ukey_harness.steps.grammar import needs_of_steps
from ukey_harness.verdicts.hooks import HOOKS, RecordHooks, worker_name
from ukey_harness.verdicts.pytest_run import running
from ukey_harness.verdicts.session import session_of

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
        hooks = RecordHooks(session_of(config), worker_name(), hindrance)
        manager.register(hooks, HOOKS)
        manager.register(staging, "ukey-staging")
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

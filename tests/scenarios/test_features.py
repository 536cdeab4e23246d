"""The scenarios in `features/`, against the device that --device names (default: emulated)."""

from pytest_bdd import scenarios

from ukey_harness.steps.binding import bound_features

scenarios(*bound_features())

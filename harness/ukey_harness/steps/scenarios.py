"""The scenarios as a pytest module, for `ukey certify`; `pytest` in the checkout has its own."""

import os

from pytest_bdd import scenarios

from ukey_harness.steps.binding import bound_features

SUITES_VARIABLE = "UKEY_SUITES"

scenarios(*bound_features(os.environ.get(SUITES_VARIABLE, "").split()))

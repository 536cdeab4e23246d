"""How long the machine runs: a few fixed sequences, or for hours other ones each time."""

from hypothesis import HealthCheck, Phase, settings

_QUIET = list(HealthCheck)
QUICK = settings(
    max_examples=30,
    stateful_step_count=50,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=_QUIET,
)
HUNT = settings(
    max_examples=1_000_000,
    stateful_step_count=60,
    derandomize=False,
    deadline=None,
    print_blob=True,
    suppress_health_check=_QUIET,
)
settings.register_profile("hunt", HUNT)

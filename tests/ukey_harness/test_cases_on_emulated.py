"""The conformance cases on the emulated key: all are met, or there is nothing to be met."""

from ukey_harness.cases.finding import Judgement
from ukey_harness.cases.running.suite import run_suite
from ukey_harness.device.opening import device_of


def test_every_case_is_met() -> None:
    """One test, so that the cases are run once, however tests are spread over processes."""
    findings: dict[Judgement, dict[str, str]] = {each: {} for each in Judgement}
    with device_of("emulated") as device:
        for case, finding in run_suite(device):
            findings[finding.judged(case)][case.id] = finding.actual
    for judgement in (Judgement.UNMET, Judgement.CRASHED, Judgement.BROKEN):
        assert not findings[judgement]
    assert not findings[Judgement.NOT_RUN]
    # What a key can do is tried: nothing of this is passed over on one that can do all of it.
    tried = ("EV-0", "EV-1", "DR-", "LK-01", "LK-02", "LK-03", "LK-04", "LK-06", "GP-1", "MI-")
    passed = {each for each in findings[Judgement.NOT_APPLICABLE] if each.startswith(tried)}
    assert not passed

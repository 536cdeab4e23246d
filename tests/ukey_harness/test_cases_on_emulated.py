"""The conformance cases on the emulated key: all are met, or there is nothing to be met."""

import pytest

from ukey_harness.cases.finding import Finding, Judgement
from ukey_harness.cases.running.suite import run_suite
from ukey_harness.device.opening import device_of

# What the emulated key does not meet yet; nothing may be added to it.
OPEN = {
    "OB-44": "it claims no profile yet",
    "EV-11": "a new slot shows before the number of slots is asked for",
    "LK-05": "the context-specific login that locks the PIN returns CKR_PIN_INCORRECT",
}


@pytest.fixture(scope="module")
def findings() -> dict[Judgement, dict[str, Finding]]:
    with device_of("emulated") as device:
        sorted_: dict[Judgement, dict[str, Finding]] = {each: {} for each in Judgement}
        for case, finding in run_suite(device):
            sorted_[finding.judged(case)][case.id] = finding
        return sorted_


def test_every_case_is_met_but_the_open_ones(
    findings: dict[Judgement, dict[str, Finding]],
) -> None:
    for judgement in (Judgement.UNMET, Judgement.CRASHED, Judgement.BROKEN):
        wrong = {number: finding.actual for number, finding in findings[judgement].items()}
        assert set(wrong) <= set(OPEN), wrong
    assert not findings[Judgement.NOT_RUN]


def test_what_a_key_can_do_is_tried(findings: dict[Judgement, dict[str, Finding]]) -> None:
    """Taking out, locking and version 3 are not passed over on a key that can do all of that."""
    lacking = set(findings[Judgement.NOT_APPLICABLE])
    tried = ("EV-0", "EV-1", "DR-", "LK-01", "LK-02", "LK-03", "LK-04", "LK-06", "GP-1", "MI-")
    assert not {number for number in lacking if number.startswith(tried)}

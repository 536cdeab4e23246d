"""The conformance cases on SoftHSM2: what it fails is known, case by case, with the reason."""

import tomllib
from pathlib import Path

import pytest

from ukey_harness.cases.case import Case
from ukey_harness.cases.catalogue import all_cases
from ukey_harness.cases.finding import Finding, Judgement
from ukey_harness.cases.running.suite import run_suite
from ukey_harness.device.claim import read_device_file
from ukey_harness.device.opening import device_of

# It guards neither the making of its one instance nor a session that is closed while in use: when
# threads meet there, it goes on, errs or takes the process with it.
RACES = {"TH-03", "TH-04"}
UNMET = tomllib.loads((Path(__file__).parent / "softhsm_unmet.toml").read_text("utf-8"))

pytestmark = pytest.mark.skipif(
    not Path(read_device_file("softhsm2").module).is_file(), reason="softhsm2 is not installed"
)


def of(results: list[tuple[Case, Finding]], *judgements: Judgement) -> dict[str, Finding]:
    return {case.id: finding for case, finding in results if finding.judged(case) in judgements}


def test_it_fails_what_is_listed_and_nothing_else() -> None:
    """One test, so that the cases are run once, however tests are spread over processes."""
    with device_of("softhsm2") as device:
        results = run_suite(device)
    failed = {
        number: finding
        for number, finding in of(results, Judgement.UNMET).items()
        if number not in RACES
    }
    told = {number: f"{finding.actual} — {UNMET.get(number)}" for number, finding in failed.items()}
    assert sorted(failed) == sorted(UNMET), told
    every_case_was_judged(results)
    what_does_not_apply_says_why_in_a_sentence(results)
    calls_are_kept_and_no_pin_is_in_them(results)


def every_case_was_judged(results: list[tuple[Case, Finding]]) -> None:
    assert [case.id for case, _ in results] == list(all_cases())
    assert not of(results, Judgement.BROKEN, Judgement.NOT_RUN)
    assert set(of(results, Judgement.CRASHED)) <= RACES


def what_does_not_apply_says_why_in_a_sentence(results: list[tuple[Case, Finding]]) -> None:
    lacking = of(results, Judgement.NOT_APPLICABLE)
    assert {"EV-01", "LK-02", "GP-18", "MI-02", "V32-1", "WP-01"} <= set(lacking)
    for finding in lacking.values():
        assert finding.missing[0].isupper()
        assert finding.missing.endswith(".")
    assert "CKF_REMOVABLE_DEVICE" in lacking["EV-01"].missing
    assert "2.40" in lacking["MI-02"].missing


def calls_are_kept_and_no_pin_is_in_them(results: list[tuple[Case, Finding]]) -> None:
    login = next(finding for case, finding in results if case.id == "PN-11")
    assert ("C_Login", "CKR_PIN_INCORRECT") in [(call.function, call.rv) for call in login.calls]
    for _, finding in results:
        assert not any("123456" in str(call.arguments) for call in finding.calls)

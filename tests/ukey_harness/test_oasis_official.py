"""The official test cases, where their folder is named: they are not part of this project."""

import os
from pathlib import Path

import pytest

from ukey_harness.cases.finding import Finding, Judgement
from ukey_harness.cases.running.suite import run_suite
from ukey_harness.device.opening import device_of

PLACE = os.environ.get("UKEYLAB_OASIS", "")

pytestmark = pytest.mark.skipif(not PLACE, reason="UKEYLAB_OASIS names no folder of test cases")

# All that SoftHSM2 2.6.1 fails: it has no interface of 3.2, for which the cases are written.
SOFTHSM_LACKS = ("line 4, C_GetInfo: CryptokiVersion is 2.40, not 3.2",)
OFFICIAL = {"AUTH-M-1-32", "BL-M-1-32", "CERT-M-1-32", "EXT-M-1-32"}


def replayed(device: str) -> dict[str, tuple[Judgement, Finding]]:
    with device_of(device) as opened:
        results = run_suite(opened, suite="oasis", place=Path(PLACE))
    return {case.id: (finding.judged(case), finding) for case, finding in results}


def test_the_emulated_key_meets_them() -> None:
    found = replayed("emulated")
    assert set(found) >= OFFICIAL
    for judgement, finding in found.values():
        assert judgement in {Judgement.EXACT, Judgement.ALLOWED}, finding
    assert found["CERT-M-1-32"][0] is Judgement.EXACT


def test_softhsm_fails_what_is_listed_and_nothing_else() -> None:
    found = replayed("softhsm2")
    assert {number: finding.seen for number, (_, finding) in found.items()} == dict.fromkeys(
        found, SOFTHSM_LACKS
    )

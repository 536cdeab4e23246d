"""Each case of a card says unmet of one that was spoilt for it."""

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ukey_harness.cases.case import Case
from ukey_harness.cases.catalogue import CARD, all_cases
from ukey_harness.cases.finding import Finding, Judgement
from ukey_harness.cases.running.supply import Supply, supply_of
from ukey_harness.cases.running.worker import Worker
from ukey_harness.device.emulated import READERS_SOCKET, READERS_VARIABLE
from ukey_harness.device.opening import device_of

HERE = Path(__file__).parent / "badcards"
sys.path.insert(0, str(HERE))
from middle import Middle  # noqa: E402 - it stands beside its table

TABLE = tomllib.loads((HERE / "perversions.toml").read_text("utf-8"))
CASES = all_cases(CARD)


class Bench:
    """An emulated key in a reader that can be spoilt, and what runs cases on it."""

    def __init__(self, supply: Supply, worker: Worker, middle: Middle) -> None:
        self._supply = supply
        self._worker = worker
        self._middle = middle

    def run(self, case: Case, rules: str) -> Finding:
        subject = self._supply.ready(case)
        self._middle.spoil(rules)
        environment = {READERS_VARIABLE: str(self._middle.path)}
        return self._worker.run(case, subject.with_environment(environment), self._supply.act)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    device = device_of("emulated")
    try:
        device.start()
        device.fresh()
        with (
            Middle(device.home / "middle", device.home / READERS_SOCKET) as middle,
            Worker() as worker,
        ):
            yield Bench(supply_of(device), worker, middle)
    finally:
        device.release()


def test_every_case_has_a_fault_on_which_it_fails() -> None:
    faulted = [number for section in TABLE.values() for number in section]
    assert sorted(faulted) == sorted(CASES)


@pytest.mark.parametrize("section", TABLE)
def test_each_case_fails_on_its_fault(bench: Bench, section: str) -> None:
    passed = []
    for number, rules in TABLE[section].items():
        finding = bench.run(CASES[number], rules)
        judgement = finding.judged(CASES[number])
        if judgement is not Judgement.UNMET:
            passed.append(f"{number} [{rules}] {judgement}: {finding.actual} {finding.fault}")
    assert not passed, "\n".join(passed)


def test_an_unspoilt_card_passes_through_the_middle(bench: Bench) -> None:
    """The middle itself changes no verdict: what fails in the test above fails by its rule."""
    for number in ("RD-02", "RD-09", "RD-14", "RD-17", "AP-09", "AP-14", "PV-11", "PV-29", "PV-41"):
        finding = bench.run(CASES[number], "")
        assert finding.judged(CASES[number]) is Judgement.EXACT, finding


def test_a_card_that_does_not_answer_costs_one_verdict(bench: Bench) -> None:
    case = replace(CASES["PV-06"], limit=0.5)
    hung = bench.run(case, "00CB hang")
    assert hung.judged(case) is Judgement.CRASHED
    assert "did not return within" in hung.crash
    assert bench.run(case, "").judged(case) is Judgement.EXACT


def test_what_the_case_cannot_prepare_is_unmet_with_the_call_that_failed(bench: Bench) -> None:
    case = CASES["PV-28"]
    finding = bench.run(case, "0047 fail 80100014")
    assert finding.judged(case) is Judgement.UNMET
    assert finding.actual == "GENERATE of P256 in 9A gave F_UNKNOWN_ERROR"


def test_no_pin_stands_in_a_finding(bench: Bench) -> None:
    for number in ("PV-10", "PV-19", "PV-24", "AP-19"):
        told = str(bench.run(CASES[number], "").to_json()).upper().replace(" ", "")
        assert "313233343536" not in told
        assert "123456" not in told.replace("0123456", "")

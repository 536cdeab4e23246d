"""Each case says unmet of a module that was spoilt for it, and of nothing else in its place."""

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ukey_harness.cases.case import Case
from ukey_harness.cases.catalogue import all_cases
from ukey_harness.cases.finding import Finding, Judgement
from ukey_harness.cases.running.supply import Supply, supply_of
from ukey_harness.cases.running.worker import Worker
from ukey_harness.cryptoki.names import CKA
from ukey_harness.cryptoki.returns import RETURNS
from ukey_harness.device.opening import device_of

HERE = Path(__file__).parent / "badmodules"
TABLE = tomllib.loads((HERE / "perversions.toml").read_text("utf-8"))
CASES = all_cases()
CODES = {name.removeprefix("CKR_"): code for code, name in RETURNS.items()}
# What the operators of these devices cannot do, but a case may ask for before it fails.
IDLE = ("enter_pin", "cancel_pin", "fault")


def numbered(rule: str) -> str:
    """Return a rule of the table as spoil.c reads it: with numbers for names."""

    def number(match: re.Match[str]) -> str:
        word = match[0]
        if word.startswith("CKA_"):
            return str(int(CKA[word.removeprefix("CKA_")]))
        return str(CODES[word]) if word in CODES else word

    where, action, *rest = rule.split(maxsplit=2)
    where = re.sub(r"(?<=~)\w+", number, where)
    return " ".join([where, action, *(re.sub(r"\b[A-Z][A-Z_]+\b", number, each) for each in rest)])


@pytest.fixture(scope="module")
def spoilers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Compile the bad module, with C_GetInterface and without."""
    folder = tmp_path_factory.mktemp("badmodules")
    built = {}
    for device, options in (("emulated", []), ("softhsm2", ["-DNO_INTERFACES"])):
        built[device] = folder / f"spoil-{device}.so"
        command = ["gcc", "-shared", "-fPIC", "-O1", *options, "-o", str(built[device])]
        subprocess.run([*command, str(HERE / "spoil.c"), "-ldl"], check=True, timeout=60)
    return built


class Bench:
    """A device whose module can be spoilt, and what runs cases on it."""

    def __init__(self, name: str, supply: Supply, worker: Worker, spoiler: Path) -> None:
        self.name = name
        self._supply = supply
        self._worker = worker
        self._spoiler = spoiler

    def run(self, case: Case, rules: str) -> Finding:
        subject = self._supply.ready(case)
        environment = {
            "SPOIL_MODULE": subject.module,
            "SPOIL": ";".join(numbered(each.strip()) for each in rules.split(";") if each.strip()),
        }
        spoilt = replace(subject, module=str(self._spoiler), acts=(*subject.acts, *IDLE))
        return self._worker.run(case, spoilt.with_environment(environment), self._act)

    def _act(self, verb: str, more: dict[str, Any]) -> dict[str, Any]:
        return {"did": {}} if verb in IDLE else self._supply.act(verb, more)


@pytest.fixture(scope="module", params=list(TABLE))
def bench(request: pytest.FixtureRequest, spoilers: dict[str, Path]) -> Iterator[Bench]:
    name = request.param
    device = device_of(name)
    try:
        device.start()
        device.fresh()
        with Worker() as worker:
            yield Bench(name, supply_of(device), worker, spoilers[name])
    finally:
        device.release()


def test_every_case_has_a_fault_on_which_it_fails() -> None:
    faulted = [number for section in TABLE.values() for number in section]
    assert sorted(faulted) == sorted(CASES)


def test_each_case_fails_on_its_fault(bench: Bench) -> None:
    passed, lacking = [], []
    for number, rules in TABLE[bench.name].items():
        case = CASES[number]
        finding = bench.run(case, rules)
        judgement = finding.judged(case)
        if judgement is Judgement.NOT_APPLICABLE:
            lacking.append(f"{number}: {finding.missing}")
        elif judgement not in {Judgement.UNMET, Judgement.CRASHED}:
            passed.append(f"{number} [{rules}] {judgement}: {finding.actual} {finding.fault}")
    assert not passed, "\n".join(passed)
    assert all("does not list CKM_ML_KEM" in each or "DES3" in each for each in lacking), lacking


def test_an_unspoilt_module_passes_through_the_bad_one(bench: Bench) -> None:
    """The wrapper itself changes no verdict: what fails in the test above fails by its rule."""
    for number in ("GP-01", "GP-09", "ST-15", "OB-27", "EN-10", "SV-06", "KM-21", "MI-01"):
        finding = bench.run(CASES[number], "")
        assert finding.judged(CASES[number]) is Judgement.EXACT, finding


@pytest.mark.parametrize(
    ("number", "rule", "told"),
    [
        ("EN-10", "Encrypt#3 behind 3 4", "C_Encrypt wrote behind a buffer of 64 bytes"),
        ("EN-10", "Encrypt#3 word 4 0 65", "a length of 65 for 64 bytes"),
        ("FI-06", "FindObjects word 3 0 101", "a count of 101 for a list of 100"),
        ("FI-06", "FindObjects word 1 800 7", "wrote behind a list of 100"),
        ("OB-12", "GetAttributeValue beyond 2 CKA_LOCAL", "wrote behind an attribute's buffer"),
        ("ST-10", "GetTokenInfo byte 1 208 0", "C_GetTokenInfo wrote behind a structure"),
        ("SE-05", "OpenSession byte 4 8 0", "C_OpenSession wrote behind a number"),
        ("RN-01", "GenerateRandom byte 1 32 0", "wrote behind the buffer"),
    ],
)
def test_what_a_module_writes_too_far_is_seen_in_any_case(
    bench: Bench, number: str, rule: str, told: str
) -> None:
    """A fault that no case is about costs every case that comes across it."""
    finding = bench.run(CASES[number], rule)
    assert finding.judged(CASES[number]) is Judgement.UNMET
    assert told in finding.actual


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        ("SE-05", "OpenSession return TOKEN_WRITE_PROTECTED"),
        ("SE-05", "OpenSession return SESSION_COUNT"),
        ("PN-05", "InitPIN return ARGUMENTS_BAD"),
    ],
)
def test_what_the_token_does_not_show_excuses_nothing(bench: Bench, number: str, rule: str) -> None:
    assert bench.run(CASES[number], rule).judged(CASES[number]) is Judgement.UNMET


def test_a_token_need_not_keep_data_objects(bench: Bench) -> None:
    rule = "CreateObject return ATTRIBUTE_VALUE_INVALID"
    finding = bench.run(CASES["SE-26"], rule)
    assert finding.judged(CASES["SE-26"]) is Judgement.NOT_APPLICABLE
    assert "takes no such data object" in finding.actual
    for number in ("OB-01", "SE-32"):  # but one that takes no objects at all is found out
        assert bench.run(CASES[number], rule).judged(CASES[number]) is Judgement.UNMET


@pytest.mark.parametrize(
    ("rule", "told"),
    [("GetInfo crash", "SIGSEGV"), ("GetInfo hang", "did not return within")],
)
def test_a_module_that_crashes_or_hangs_costs_one_verdict(
    bench: Bench, rule: str, told: str
) -> None:
    case = replace(CASES["GP-13"], limit=0.5)
    crashed = bench.run(case, rule)
    assert crashed.judged(case) is Judgement.CRASHED
    assert told in crashed.crash
    assert bench.run(case, "").judged(case) is Judgement.EXACT
    assert "SPOIL" not in os.environ

"""The replay of test cases: a sound module is met, a spoilt one and a wrong case are not."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ukey_harness.cases.case import Case
from ukey_harness.cases.finding import Finding, Judgement
from ukey_harness.cases.oasis.cases import read_case
from ukey_harness.cases.running.supply import Supply, supply_of
from ukey_harness.cases.running.worker import Worker
from ukey_harness.device.opening import device_of
from ukey_harness.verdicts.verdict import Verdict

HERE = Path(__file__).parent
# The spoiler asks the key's oldest table, whose C_GetInfo tells 2.40.
NEWEST = "GetInfo byte 0 0 3;GetInfo byte 0 1 2"
CASES = {path.stem: path for path in sorted((HERE / "oasis").glob("*.xml"))}


@pytest.fixture(scope="module")
def spoiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("spoiler") / "spoil.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(built)]
    source = HERE / "badmodules" / "spoil.c"
    subprocess.run([*command, str(source), "-ldl"], check=True, timeout=60)
    return built


class Bench:
    """A key whose module can be spoilt, and what runs test cases on it."""

    def __init__(self, supply: Supply, worker: Worker, spoiler: Path) -> None:
        self._supply = supply
        self._worker = worker
        self._spoiler = spoiler

    def run(self, file: Path, rules: str = "", *, limit: float = 30.0) -> tuple[Judgement, Finding]:
        case = replace(read_case(file), limit=limit)
        subject = self._supply.ready(case)
        environment = {"SPOIL_MODULE": subject.module, "SPOIL": f"{NEWEST};{rules}"}
        spoilt = replace(subject, module=str(self._spoiler)).with_environment(environment)
        return self.judged(case, self._worker.run(case, spoilt))

    def run_unspoilt(self, file: Path) -> tuple[Judgement, Finding]:
        case = read_case(file)
        return self.judged(case, self._worker.run(case, self._supply.ready(case)))

    @staticmethod
    def judged(case: Case, finding: Finding) -> tuple[Judgement, Finding]:
        assert not finding.fault, finding.fault
        return finding.judged(case), finding


@pytest.fixture(scope="module")
def bench(spoiler: Path) -> Iterator[Bench]:
    device = device_of("emulated")
    try:
        device.start()
        device.fresh()
        with Worker() as worker:
            yield Bench(supply_of(device), worker, spoiler)
    finally:
        device.release()


class TestSoundModule:
    def test_what_is_read_is_exact_when_it_is_as_shown(self, bench: Bench) -> None:
        judgement, finding = bench.run(CASES["READ-1"])
        assert judgement is Judgement.EXACT, finding
        assert finding.seen == ("as shown",)

    def test_what_a_token_has_of_its_own_is_allowed_and_named(self, bench: Bench) -> None:
        judgement, finding = bench.run(CASES["SIGN-1"])
        assert judgement is Judgement.ALLOWED, finding
        assert [note.partition(" is ")[0] for note in finding.notes] == [
            "line 35, C_GetAttributeValue: MODULUS",
            "line 68, C_Sign: Signature",
        ]

    def test_flags_of_a_key_are_as_the_published_cases_show_them(self, bench: Bench) -> None:
        judgement, finding = bench.run(CASES["LOOK-1"])
        assert judgement is Judgement.ALLOWED, finding
        assert any("CKF_USER_PIN_INITIALIZED" in note for note in finding.notes)

    def test_each_call_is_in_evidence_with_what_was_expected(self, bench: Bench) -> None:
        _, finding = bench.run(CASES["SIGN-1"])
        before, *steps = finding.steps
        assert [each.function for each in before.calls if each.function[:9] == "C_Generat"]
        assert [step.keyword for step in steps][:3] == ["C_Initialize", *["C_GetSlotList"] * 2]
        assert {step.verdict for step in steps} == {Verdict.MET}
        reading = next(step for step in steps if step.keyword == "C_GetAttributeValue")
        assert reading.line == 35
        assert reading.expected.startswith("OK; MODULUS c35a5a5a")
        assert reading.actual.endswith("PUBLIC_EXPONENT 010001")
        assert [call.function for call in reading.calls] == ["C_GetAttributeValue"]
        login = next(step for step in steps if step.keyword == "C_Login")
        assert "123456" not in str(login)

    def test_its_functions_are_those_of_the_version_that_is_wanted(self, bench: Bench) -> None:
        """The key's table of 2.40 tells 2.40, and the case is written for 3.2."""
        judgement, finding = bench.run_unspoilt(CASES["LOOK-1"])
        assert judgement is Judgement.ALLOWED, finding
        info = next(step for step in finding.steps if step.keyword == "C_GetInfo")
        assert "CryptokiVersion 3.2" in info.actual


@pytest.mark.parametrize(
    ("case", "rules", "told"),
    [
        ("LOOK-1", "GetInfo byte 0 1 40", "C_GetInfo: CryptokiVersion is 3.40, not 3.2"),
        ("LOOK-1", "GetInfo byte 0 33 0", "ManufacturerID is "),
        ("LOOK-1", "GetInfo byte 0 49 0xff", "LibraryDescription is "),
        ("LOOK-1", "GetInfo word 0 40 1", "C_GetInfo: Flags is 0x1, not 0x0"),
        ("LOOK-1", "GetSlotList#1 word 2 0 0", "C_GetSlotList: SlotList is 0, not 1 to"),
        ("LOOK-1", "GetSlotList#2 word 1 0 99", "the token under test is in none of them"),
        ("LOOK-1", "GetSlotList#2 word 2 0 7", "C_GetSlotList: SlotList is 7, not 1 to 1"),
        ("LOOK-1", "GetMechanismList#1 word 2 0 -1", "MechanismList is 18446744073709551615, not"),
        ("LOOK-1", "GetSlotInfo word 1 96 2", "without CKF_TOKEN_PRESENT"),
        ("LOOK-1", "GetTokenInfo word 1 96 0x40d", "without CKF_RESTORE_KEY_NOT_NEEDED"),
        ("LOOK-1", "GetTokenInfo word 1 96 0x46d", "a token with a clock gives the time"),
        ("LOOK-1", "GetTokenInfo word 1 144 500", "MinPinLen is 500, not at most MaxPinLen"),
        ("LOOK-1", "GetTokenInfo word 1 128 3", "RwSessionCount is 3, not at most SessionCount"),
        ("LOOK-1", "GetMechanismList#2 word 2 0 0", "none of those shown is there"),
        ("LOOK-1", "GetMechanismList#2 word 1 0 7; GetMechanismList#2 word 1 8 7", "there twice"),
        ("LOOK-1", "GetMechanismInfo word 2 16 0x800", "without CKF_VERIFY"),
        ("LOOK-1", "GetMechanismInfo word 2 0 99999", "MinKeySize is 99999, not at most"),
        ("LOOK-1", "GetMechanismInfo return 0x70", "C_GetMechanismInfo: MECHANISM_INVALID, not"),
        ("LOOK-1", "FindObjects word 3 0 2", "C_FindObjects: Object is 2, not 0"),
        ("LOOK-1", "CloseAllSessions return 3", "C_CloseAllSessions: SLOT_ID_INVALID, not OK"),
        ("SIGN-1", "FindObjects#1 word 3 0 0", "C_FindObjects: Object is 0, not 1"),
        ("SIGN-1", "FindObjects#2 word 1 0 0", "a handle is 0, or there twice"),
        ("SIGN-1", "Login#2 return 0xa0", "C_Login: PIN_INCORRECT, not OK"),
        ("SIGN-1", "GetAttributeValue flip 2 0x120", "it does not verify with the public key"),
        ("SIGN-1", "GetAttributeValue len 2 0x120 64", "64 bytes"),
        ("SIGN-1", "GetAttributeValue len 2 0x122 1", "PUBLIC_EXPONENT is 01, not 03"),
        ("SIGN-1", "GetAttributeValue return 0x11", "ATTRIBUTE_SENSITIVE, not OK"),
        ("SIGN-1", "Sign xor 3 5 1", "it does not verify with the public key"),
        ("SIGN-1", "Sign word 4 0 100", "it does not verify with the public key"),
        ("READ-1", "FindObjects word 3 0 1", "C_FindObjects: Object is 1, not 2"),
        ("READ-1", "GetAttributeValue#1 len 2 3 0xffffffffffffffff", "LABEL is unavailable"),
        ("READ-1", "GetAttributeValue#3 len 2 0x11 0", "there is nothing to be read"),
        ("READ-1", "GetAttributeValue#2 return 0x150", "BUFFER_TOO_SMALL, not OK"),
        ("READ-1", "CreateObject instead 0x31", "C_CreateObject returned CKR_DEVICE_MEMORY"),
    ],
)  # fmt: skip
def test_a_spoilt_module_is_unmet_by_what_was_spoilt(
    bench: Bench, case: str, rules: str, told: str
) -> None:
    judgement, finding = bench.run(CASES[case], rules)
    assert judgement is Judgement.UNMET, finding
    assert told in finding.actual


@pytest.mark.parametrize(
    ("case", "old", "new", "told"),
    [
        ("LOOK-1", '<C_Finalize rv="OK"/>', '<C_Finalize rv="CANCEL"/>', "OK, not CANCEL"),
        ("LOOK-1", 'minor="2"', 'minor="1"', "CryptokiVersion is 3.2, not 3.1"),
        ("LOOK-1", '"RNG|TOKEN', '"CLOCK_ON_TOKEN|TOKEN', "without CKF_CLOCK_ON_TOKEN"),
        ("LOOK-1", '"SIGN|VERIFY"', '"DIGEST"', "without CKF_DIGEST"),
        ("SIGN-1", 'Signature length="128"', 'Signature length="9"', "BUFFER_TOO_SMALL, not OK"),
    ],
)
def test_a_case_that_shows_something_else_is_unmet(
    bench: Bench, tmp_path: Path, case: str, old: str, new: str, told: str
) -> None:
    text = CASES[case].read_text("utf-8")
    assert old in text
    (tmp_path / "WRONG-1.xml").write_text(text.replace(old, new), "utf-8")
    judgement, finding = bench.run(tmp_path / "WRONG-1.xml")
    assert judgement is Judgement.UNMET, finding
    assert told in finding.actual


def test_a_wrong_return_value_ends_the_replay(bench: Bench) -> None:
    _, finding = bench.run(CASES["READ-1"], "OpenSession#2 return 0xb1")
    verdicts = {step.keyword: step.verdict for step in finding.steps}
    assert verdicts["C_OpenSession"] is Verdict.UNMET
    assert verdicts["C_FindObjects"] is verdicts["C_Finalize"] is Verdict.NOT_RUN


def test_a_call_for_which_something_is_missing_is_not_made(bench: Bench) -> None:
    _, finding = bench.run(CASES["SIGN-1"], "FindObjects#1 word 3 0 0")
    assert "C_GetAttributeValue: not called, for nothing gave ${Object.Object[0]}" in finding.actual
    assert "C_Sign" not in [call.function for step in finding.steps for call in step.calls]


@pytest.mark.parametrize(
    ("rules", "told", "where"),
    [
        ("GetSlotInfo crash", "SIGSEGV", "LOOK-1: C_GetSlotInfo, line 22"),
        ("FindObjectsInit hang", "did not return within", "LOOK-1: C_FindObjectsInit, line 77"),
    ],
)
def test_a_module_that_crashes_or_hangs_costs_one_case(
    bench: Bench, rules: str, told: str, where: str
) -> None:
    judgement, finding = bench.run(CASES["LOOK-1"], rules, limit=2.0)
    assert judgement is Judgement.CRASHED
    assert told in finding.crash
    assert finding.output.splitlines()[-1] == where
    assert bench.run(CASES["LOOK-1"])[0] is Judgement.ALLOWED
    assert "SPOIL" not in os.environ

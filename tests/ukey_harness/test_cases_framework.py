"""Expectations, the catalogue, the record's entries, and what may be done to a real key."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from ukey_harness.cases.case import Changes, Section, facts
from ukey_harness.cases.catalogue import UnknownCase, all_cases, chosen
from ukey_harness.cases.expectation import Expectation, Match
from ukey_harness.cases.finding import Finding, Judgement
from ukey_harness.cases.running.conduct import conduct_cases
from ukey_harness.cases.running.recording import judged, planned
from ukey_harness.cases.running.suite import run_suite
from ukey_harness.cryptoki.arguments import Query, Room, Template
from ukey_harness.cryptoki.names import CKA, CKM
from ukey_harness.device.claim import read_device_file
from ukey_harness.device.examiner import ask
from ukey_harness.device.opening import device_of
from ukey_harness.verdicts.blank import BLANK, Blank
from ukey_harness.verdicts.journal import assemble
from ukey_harness.verdicts.session import new_run
from ukey_harness.verdicts.verdict import Verdict

IDS = (Path(__file__).parent / "case_ids.txt").read_text("utf-8").split()
SOFTHSM = read_device_file("softhsm2").module


class TestExpectation:
    @pytest.mark.parametrize(
        ("seen", "match"),
        [
            (("OK", "BUFFER_TOO_SMALL", "OK"), Match.EXACT),
            (("FUNCTION_NOT_SUPPORTED",), Match.ALLOWED),
            (("OK", "DATA_INVALID", "3"), Match.ALLOWED),
            (("OK", "DATA_LEN_RANGE", "4"), Match.ALLOWED),
            (("OK", "BUFFER_TOO_SMALL"), Match.UNMET),
            (("OK", "BUFFER_TOO_SMALL", "OK", "OK"), Match.UNMET),
            (("BUFFER_TOO_SMALL", "OK", "OK"), Match.UNMET),
            ((), Match.UNMET),
        ],
    )
    def test_a_sequence_is_compared_as_a_sequence(
        self, seen: tuple[str, ...], match: Match
    ) -> None:
        wanted = Expectation.read(
            "OK, BUFFER_TOO_SMALL, OK",
            "FUNCTION_NOT_SUPPORTED",
            "OK, DATA_INVALID | DATA_LEN_RANGE, *",
        )
        assert wanted.match(seen) is match

    def test_it_reads_as_it_was_written(self) -> None:
        assert str(Expectation.read("OK, 2")) == "OK, 2"
        told = str(Expectation.read("OK", "CANT_LOCK | OK", "NO_EVENT, *"))
        assert told == "OK; allowed: CANT_LOCK|OK or NO_EVENT, *"

    def test_facts_are_texts(self) -> None:
        assert facts(("OK", 3, True, False)) == ("OK", "3", "yes", "no")
        assert facts("OK") == ("OK",)


class TestCatalogue:
    def test_an_id_never_moves(self) -> None:
        """The list only grows: an id that is gone, or given out twice, breaks old reports."""
        assert sorted(all_cases()) == sorted(IDS)

    def test_each_case_says_what_it_demands_and_where(self) -> None:
        for case in all_cases().values():
            assert re.fullmatch(r"PKCS#11 3\.2 §\d+(\.\d+)*", case.clause), case.id
            assert case.rule[0].isupper(), case.id
            assert case.rule.endswith("."), case.id
            file, line = case.place
            source = Path(__file__).parents[2] / "harness" / "ukey_harness" / "cases" / file
            assert line > 1
            assert f'"{case.id}"' in source.read_text("utf-8"), case.id

    def test_a_case_that_locks_changes_the_token(self) -> None:
        assert all(each.changes is Changes.TOKEN for each in all_cases().values() if each.locks)

    def test_cases_are_chosen_by_id_and_by_group(self) -> None:
        assert [case.id for case in chosen(["gp-02"])] == ["GP-02"]
        assert {case.id[:3] for case in chosen(["EN", "V3"])} == {"EN-", "V3-"}
        assert len(chosen([])) == len(IDS)
        with pytest.raises(UnknownCase, match="groups are GP"):
            chosen(["GP-2"])

    def test_an_id_is_given_out_once(self) -> None:
        section = Section("Standard", "Section")
        section.case("A-1", "1", "A rule.", "OK")(lambda _: "OK")
        with pytest.raises(ValueError, match="twice"):
            section.case("A-1", "1", "Another rule.", "OK")(lambda _: "OK")


class TestRecord:
    case = all_cases()["EN-09"]

    @pytest.mark.parametrize(
        ("finding", "judgement", "verdict"),
        [
            (("OK", "BUFFER_TOO_SMALL", "OK", "same", "untouched"), "exact", Verdict.MET),
            (("OK", "OK", "OK", "same", "untouched"), "unmet", Verdict.UNMET),
            ({"crash": "SIGSEGV"}, "crashed", Verdict.UNMET),
            ({"unprepared": "C_Login returned"}, "unmet", Verdict.UNMET),
            ({"missing": "No such thing."}, "not_applicable", Verdict.NOT_APPLICABLE),
            ({"barred": "No consent."}, "not_run", Verdict.NOT_RUN),
            ({"fault": "Traceback"}, "broken", Verdict.BROKEN),
        ],
    )
    def test_judgements_become_the_records_verdicts(
        self, finding: tuple[str, ...] | dict[str, str], judgement: str, verdict: Verdict
    ) -> None:
        made = (
            Finding("EN-09", seen=finding)
            if isinstance(finding, tuple)
            else Finding("EN-09", **finding)  # type: ignore[arg-type]
        )
        entry = judged(self.case, made, Blank())
        assert made.judged(self.case) is Judgement(judgement)
        assert entry.verdict is entry.steps[0].verdict is verdict
        assert entry.steps[0].actual == made.actual
        assert bool(entry.reason) == (verdict is not Verdict.MET)

    def test_a_planned_case_was_not_run(self) -> None:
        entry = planned(self.case)
        assert entry.id == "pkcs11/EN-09"
        assert entry.verdict is Verdict.NOT_RUN
        assert entry.steps[0].text == self.case.rule

    def test_secrets_are_taken_out(self) -> None:
        seen = Finding("EN-09", seen=("the PIN is 86421357",), notes=["86421357"])
        entry = judged(self.case, seen, Blank(["86421357"]))
        assert entry.steps[0].actual == f"the PIN is {BLANK}"
        assert "86421357" not in str(entry)

    def test_a_finding_survives_the_way_between_processes(self) -> None:
        made = Finding("EN-09", seen=("OK", "2"), notes=["x"], seconds=0.5)
        assert Finding.from_json(made.to_json()) == made


class TestArguments:
    def test_a_buffer_tells_what_was_written_and_whether_it_was_too_much(self) -> None:
        room = Room(4)
        pointer, length = room.parts
        assert room.untouched
        pointer[0], length[0] = 1, 2
        assert (room.length, room.data[0], room.untouched, room.overrun) == (2, 1, False, False)
        pointer[4] = 0
        assert room.overrun

    def test_values_become_what_the_standard_wants(self) -> None:
        pairs = {CKA.TOKEN: True, CKA.VALUE_LEN: 16, CKA.LABEL: "钥", CKA.VALUE: b""}
        template = Template({**pairs, CKA.ALLOWED_MECHANISMS: [CKM.AES_CBC, CKM.AES_ECB]})
        array, count = template.parts
        assert count == 5
        assert [int(array[index].ulValueLen) for index in range(count)] == [1, 8, 3, 0, 16]
        nested = Template({CKA.WRAP_TEMPLATE: {CKA.TOKEN: False}})
        assert nested.array[0].ulValueLen == 24

    def test_an_attribute_that_does_not_fit_has_no_value(self) -> None:
        query = Query([(CKA.LABEL, 4), CKA.VALUE])
        query.array[0].ulValueLen = 2**64 - 1
        query.array[1].ulValueLen = 0
        assert (query.value(0), query.value(1)) == (None, b"")


@pytest.fixture
def vendors_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a device file for a key that was there before: SoftHSM2 plays the vendor's module."""
    if not Path(SOFTHSM).is_file():
        pytest.skip("softhsm2 is not installed")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    request = {"verb": "initialise", "module": SOFTHSM, "label": "theirs", "serial": ""}
    request |= {"so_pin": "so-pin-24680", "pin": "86421357"}
    serial = ask(request, {"SOFTHSM2_CONF": str(tmp_path / "conf")})["serial"]
    file = tmp_path / "vendor.toml"
    file.write_text(
        f"[device]\nname = 'theirs'\nkind = 'module'\nmodule = '{SOFTHSM}'\nserial = '{serial}'\n"
        "[pins]\nuser_env = 'VENDOR_PIN'\nso_env = 'VENDOR_SO_PIN'\n"
        f"[environment]\nSOFTHSM2_CONF = '{tmp_path / 'conf'}'\n"
    )
    monkeypatch.setenv("VENDOR_PIN", "86421357")
    monkeypatch.setenv("VENDOR_SO_PIN", "so-pin-24680")
    return file


class TestRealKeys:
    names = ("GP-13", "SE-20", "SE-26", "OB-16", "PN-05", "PN-11", "PN-13")

    def judged(self, file: Path) -> dict[str, tuple[Judgement, Finding]]:
        with device_of(str(file)) as device:
            results = run_suite(device, names=self.names)
            objects = device.ask("examine")
        assert "CKF_USER_PIN_COUNT_LOW" not in objects["token"]["flags"]
        return {case.id: (finding.judged(case), finding) for case, finding in results}

    def test_without_consent_only_what_changes_nothing_is_run(self, vendors_key: Path) -> None:
        found = self.judged(vendors_key)
        run = {number for number, (judgement, _) in found.items() if judgement is Judgement.EXACT}
        assert run == {"GP-13", "SE-20", "SE-26", "OB-16"}
        for number in ("PN-05", "PN-11"):
            assert found[number][0] is Judgement.NOT_RUN
            assert "consent.erase" in found[number][1].barred
        assert "last PIN try" in found["PN-13"][1].barred

    def test_with_consent_all_is_run_but_what_locks(self, vendors_key: Path) -> None:
        serial = re.findall("serial = '(.*)'", vendors_key.read_text())[0]
        consent = f"[consent]\nerase = '序列号 {serial} 的钥匙可以清空'\n"
        vendors_key.write_text(vendors_key.read_text() + consent)
        found = self.judged(vendors_key)
        barred = {n for n, (judgement, _) in found.items() if judgement is Judgement.NOT_RUN}
        assert barred == {"PN-13"}
        assert {found[n][0] for n in self.names if n != "PN-13"} == {Judgement.EXACT}

    def test_no_pin_is_guessed(self, vendors_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("VENDOR_SO_PIN")
        found = self.judged(vendors_key)
        assert found["SE-26"][0] is Judgement.EXACT
        assert found["SE-20"][0] is Judgement.NOT_APPLICABLE
        assert "security officer's PIN" in found["SE-20"][1].missing

    def test_what_cases_left_behind_is_swept_away_and_nothing_else(self, vendors_key: Path) -> None:
        """A case that is cut off in its middle leaves objects; the next one takes them away."""
        environment = {**os.environ, "SOFTHSM2_CONF": str(vendors_key.parent / "conf")}
        tool = ["pkcs11-tool", "--module", SOFTHSM, "--login", "--pin", "86421357"]
        for label in ("ukeylab-case", "ukeylab-case copy", "their own"):
            add = ["--write-object", str(vendors_key), "--type", "data", "--label", label]
            subprocess.run(
                [*tool, *add], env=environment, check=True, capture_output=True, timeout=60
            )
        with device_of(str(vendors_key)) as device:
            run_suite(device, names=["GP-13"])
        listed = subprocess.run(
            [*tool, "-O"], env=environment, check=True, capture_output=True, text=True, timeout=60
        )
        assert "their own" in listed.stdout
        assert "ukeylab-case" not in listed.stdout


def test_a_device_that_cannot_be_used_breaks_the_run(tmp_path: Path) -> None:
    file = tmp_path / "gone.toml"
    file.write_text("[device]\nkind = 'softhsm2'\nname = 'x'\nmodule = '/nowhere/libgone.so'\n")
    parts = tmp_path / "parts"
    assert conduct_cases(str(file), parts, ["GP"]) is False
    run = assemble(parts, new_run(), "finished")
    assert run.verdict is Verdict.BROKEN
    assert run.counts["not_run"] == len(run.scenarios) - 1
    (broken,) = (each for each in run.scenarios if each.verdict is Verdict.BROKEN)
    assert "/nowhere/libgone.so" in broken.reason

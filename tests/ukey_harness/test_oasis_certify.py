"""`ukey certify --suite oasis`: the record, what is told of a wrong choice, and a real key."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ukey_harness.cases.finding import Finding, Judgement
from ukey_harness.cases.running.suite import run_suite
from ukey_harness.device.claim import read_device_file
from ukey_harness.device.examiner import ask
from ukey_harness.device.opening import device_of
from ukey_harness.verdicts.store import load
from ukey_harness.verdicts.verdict import Verdict

OURS = Path(__file__).parent / "oasis"
CERTIFY = (sys.executable, "-m", "ukey_harness.cli", "certify")
KEPT = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith("PYTEST") and key != "UKEYLAB_OASIS"
}
SOFTHSM = read_device_file("softhsm2").module
PIN = "86421357"


def certify(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*CERTIFY, *arguments],
        env=KEPT | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_record_has_each_case_and_in_it_each_call(tmp_path: Path) -> None:
    done = certify("--suite", "oasis", "--oasis", str(OURS), "--report", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    run = load(tmp_path / "record.json")
    assert run.verdict is Verdict.MET
    found = {each.id: each for each in run.scenarios}
    assert sorted(found) == ["oasis/LOOK-1", "oasis/READ-1", "oasis/SIGN-1"]
    sign = found["oasis/SIGN-1"]
    assert sign.suite == "oasis"
    assert sign.file == str(OURS / "SIGN-1.xml")
    assert sign.steps[0].notes[0] == "verdict: allowed"
    assert [step.keyword for step in sign.steps[:4]] == [
        "PKCS#11 Profiles SIGN-1",
        "before",
        "C_Initialize",
        "C_GetSlotList",
    ]
    assert ("C_Sign", "CKR_OK") in [
        (call.function, call.rv) for step in sign.steps for call in step.calls
    ]
    assert "123456" not in (tmp_path / "record.json").read_text("utf-8")
    assert run.selection[-2:] == ["--oasis", str(OURS)]
    assert "READ-1" in (tmp_path / "junit.xml").read_text("utf-8")
    assert "C_GetAttributeValue" in (tmp_path / "report.html").read_text("utf-8")


def test_cases_of_both_suites_are_chosen_by_their_names(tmp_path: Path) -> None:
    done = certify(
        *("--suite", "oasis", "--suite", "pkcs11", "--case", "read-1", "--case", "GP-01"),
        *("--report", str(tmp_path)),
        UKEYLAB_OASIS=str(OURS),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = load(tmp_path / "record.json")
    assert sorted(each.id for each in run.scenarios) == ["oasis/READ-1", "pkcs11/GP-01"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "oasis"], "give their folder with --oasis PATH"),
        (["--oasis", "/nowhere"], "/nowhere: there is no such file or folder"),
        (["--oasis", __file__], "no XML"),
        (["--oasis", str(OURS), "--suite", "pin"], "--oasis is for the suite oasis"),
        (["--oasis", str(OURS), "--case", "XX"], "no case XX; the groups are LOOK, READ, SIGN"),
    ],
)
def test_a_wrong_choice_is_told_before_anything_starts(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = certify(*arguments, "--report", str(tmp_path / "r"))
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "r").exists()


@pytest.fixture
def vendors_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a device file for a key that was there before: SoftHSM2 plays the vendor's module."""
    if not Path(SOFTHSM).is_file():
        pytest.skip("softhsm2 is not installed")
    (tmp_path / "tokens").mkdir()
    configuration = tmp_path / "conf"
    configuration.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    request = {"verb": "initialise", "module": SOFTHSM, "label": "theirs", "serial": ""}
    request |= {"so_pin": "so-pin-24680", "pin": PIN}
    serial = ask(request, {"SOFTHSM2_CONF": str(configuration)})["serial"]
    file = tmp_path / "vendor.toml"
    file.write_text(
        f"[device]\nname = 'theirs'\nkind = 'module'\nmodule = '{SOFTHSM}'\nserial = '{serial}'\n"
        "[pins]\nuser_env = 'VENDOR_PIN'\nso_env = 'VENDOR_SO_PIN'\n"
        f"[environment]\nSOFTHSM2_CONF = '{configuration}'\n"
    )
    monkeypatch.setenv("VENDOR_PIN", PIN)
    monkeypatch.setenv("VENDOR_SO_PIN", "so-pin-24680")
    return file


class TestRealKeys:
    def tool(self, file: Path, *arguments: str) -> str:
        done = subprocess.run(
            ["pkcs11-tool", "--module", SOFTHSM, "--login", "--pin", PIN, *arguments],
            env=KEPT | {"SOFTHSM2_CONF": str(file.parent / "conf")},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout

    def judged(self, file: Path) -> dict[str, tuple[Judgement, Finding]]:
        with device_of(str(file)) as device:
            results = run_suite(device, suite="oasis", place=OURS)
        return {case.id: (finding.judged(case), finding) for case, finding in results}

    def test_without_consent_nothing_is_put_onto_it(self, vendors_key: Path) -> None:
        found = self.judged(vendors_key)
        for name in ("READ-1", "SIGN-1"):
            assert found[name][0] is Judgement.NOT_APPLICABLE, found[name]
            assert "consent.erase" in found[name][1].missing
        assert found["LOOK-1"][0] is Judgement.UNMET
        assert found["LOOK-1"][1].actual == ("line 5, C_GetInfo: CryptokiVersion is 2.40, not 3.2")
        assert "sample" not in self.tool(vendors_key, "-O")

    def test_what_is_there_already_is_used(self, vendors_key: Path) -> None:
        pair = ("--keypairgen", "--key-type", "rsa:1024", "--label", "sample pair", "--id", "01")
        self.tool(vendors_key, *pair)
        for label in ("one", "another"):
            data = ("--write-object", str(vendors_key), "--type", "data", "--label", label)
            self.tool(vendors_key, *data)
        found = self.judged(vendors_key)
        assert found["SIGN-1"][0] is Judgement.ALLOWED, found["SIGN-1"]
        assert found["READ-1"][0] is Judgement.ALLOWED, found["READ-1"]
        assert found["SIGN-1"][1].steps[0].actual == "there already"
        assert "another" in self.tool(vendors_key, "-O")

    def test_with_consent_it_is_put_there_and_taken_away(self, vendors_key: Path) -> None:
        serial = re.findall("serial = '(.*)'", vendors_key.read_text())[0]
        consent = f"[consent]\nerase = '序列号 {serial} 的钥匙可以清空'\n"
        vendors_key.write_text(vendors_key.read_text() + consent)
        found = self.judged(vendors_key)
        assert found["SIGN-1"][0] is Judgement.ALLOWED, found["SIGN-1"]
        assert found["READ-1"][0] is Judgement.EXACT, found["READ-1"]
        assert "sample" not in self.tool(vendors_key, "-O")

"""`ukey certify --suite pkcs11`: the record, its views, a wrong choice, an interruption."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ukey_harness.verdicts.store import load
from ukey_harness.verdicts.verdict import Verdict

CERTIFY = (sys.executable, "-m", "ukey_harness.cli", "certify")
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}


def certify(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*CERTIFY, *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_group_on_the_emulated_key(tmp_path: Path) -> None:
    done = certify(
        "--suite", "pkcs11", "--case", "RN", "--case", "wp-01", "--report", str(tmp_path)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = load(tmp_path / "record.json")
    assert run.state == "finished"
    assert run.verdict is Verdict.MET
    assert {each.id for each in run.scenarios} == {
        *(f"pkcs11/RN-0{index}" for index in range(1, 8)),
        "pkcs11/WP-01",
    }
    protected = next(each for each in run.scenarios if each.id == "pkcs11/WP-01")
    assert protected.verdict is Verdict.NOT_APPLICABLE
    assert "CKF_WRITE_PROTECTED" in protected.reason
    assert run.device is not None
    assert run.device.measured["token"]["serial"]
    assert run.selection[-4:] == ["--case", "RN", "--case", "wp-01"]
    for view in ("report.html", "junit.xml"):
        assert "C_GenerateRandom refuses a NULL buffer." in (tmp_path / view).read_text("utf-8")
    assert not list(tmp_path.glob(".parts-*"))


def test_what_is_unmet_fails_the_run_and_is_told(tmp_path: Path) -> None:
    done = certify(
        *("--device", "softhsm2", "--suite", "pkcs11", "--case", "SE-19"),
        *("--report", str(tmp_path)),
    )
    assert done.returncode == 1
    seen = "expected USER_NOT_LOGGED_IN, OK, USER_NOT_LOGGED_IN; seen OK, OK, OK"
    assert seen in " ".join(done.stdout.split())
    step = load(tmp_path / "record.json").scenarios[0].steps[0]
    assert (step.expected, step.actual) == (
        "USER_NOT_LOGGED_IN, OK, USER_NOT_LOGGED_IN",
        "OK, OK, OK",
    )
    assert ("C_Logout", "CKR_OK") in [(call.function, call.rv) for call in step.calls]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "pkcs11", "--case", "XX"], "there is no case XX; the groups are GP"),
        (["--suite", "pin", "--case", "GP"], "name that suite too"),
    ],
)
def test_a_wrong_choice_is_told_before_anything_starts(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = certify(*arguments, "--report", str(tmp_path / "r"))
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "r").exists()


def test_an_interrupted_run_leaves_a_valid_record(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*CERTIFY, "--suite", "pkcs11", "--report", str(tmp_path)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("✓")
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    run = load(tmp_path / "record.json")
    assert run.state == "interrupted"
    assert run.counts["met"] >= 1
    assert run.counts["not_run"] >= 1
    assert run.counts["broken"] == 0

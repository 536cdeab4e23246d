"""`ukey certify`, and pytest on the scenarios: verdicts, reports, interruptions."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ukey_harness.device.claim import read_device_file
from ukey_harness.device.examiner import ask
from ukey_harness.features_folder import suite_names
from ukey_harness.verdicts.record import ScenarioRecord
from ukey_harness.verdicts.store import load
from ukey_harness.verdicts.verdict import Verdict

TIME_LIMIT = 900.0
CERTIFY = (sys.executable, "-m", "ukey_harness.cli", "certify")

# Steps of ours in scenarios that must go wrong, one for each way.
BAD_FEATURE = """
# language: zh-CN
功能: 坏的场景
  场景: 说错口令还想登录
    假如 柜台给单位办好了一把钥匙
    当 单位用错误的口令登录
    那么 登录成功
    而且 单位可以打开业务「人员参保登记」

  场景: 没有定义的步骤
    假如 柜台给单位办好了一把钥匙
    当 单位请钥匙吃饭

  @需要拔插
  场景: 要拔插的
    假如 柜台给单位办好了一把钥匙
    当 单位拔出钥匙又插上

  场景: 只看步骤就知道要拔插
    假如 柜台给单位办好了一把钥匙
    当 单位拔出钥匙又插上

  场景: 好的
    假如 柜台给单位办好了一把钥匙
    当 单位查看钥匙里的证书
    那么 列出一张证书，写着单位名称、颁发者、序列号和有效期
"""
BINDING = """
from pytest_bdd import scenarios
from ukey_harness.steps.binding import bound_features
bound_features()
scenarios("bad.feature")
"""

needs_softhsm = pytest.mark.skipif(
    not Path(read_device_file("softhsm2").module).is_file(), reason="softhsm2 is not installed"
)


def clean_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}


def certify(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*CERTIFY, *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )


@pytest.fixture(scope="module")
def bad_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the bad scenarios on SoftHSM2 with two workers; return the report's folder."""
    if not Path(read_device_file("softhsm2").module).is_file():
        pytest.skip("softhsm2 is not installed")
    project = tmp_path_factory.mktemp("bad")
    folder = project / "features" / "bad"
    folder.mkdir(parents=True)
    (folder / "bad.feature").write_text(BAD_FEATURE.lstrip(), encoding="utf-8")
    (folder / "test_bad.py").write_text(BINDING)
    (project / "pytest.ini").touch()
    report = project / "report"
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider"),
            *(str(folder), "--device=softhsm2", f"--ukey-report={report}"),
        ],
        cwd=project,
        env=clean_environment(),
        capture_output=True,
        timeout=TIME_LIMIT,
        check=False,
    )
    return report


def scenarios_of(folder: Path) -> dict[str, ScenarioRecord]:
    return {each.name: each for each in load(folder / "record.json").scenarios}


class TestBadScenarios:
    def test_the_run_is_broken_and_nothing_is_missing(self, bad_run: Path) -> None:
        run = load(bad_run / "record.json")
        assert run.state == "finished"
        assert run.verdict is Verdict.BROKEN
        assert run.counts == {
            "met": 1,
            "unmet": 1,
            "broken": 1,
            "not_applicable": 2,
            "not_run": 0,
        }

    def test_an_unmet_step_has_expected_and_actual_in_all_three_views(self, bad_run: Path) -> None:
        unmet = scenarios_of(bad_run)["说错口令还想登录"]
        assert [step.verdict.value for step in unmet.steps] == ["met", "met", "unmet", "not_run"]
        step = unmet.steps[2]
        assert step.expected.startswith("登录成功：")
        assert step.actual == "退出码 5"
        page = (bad_run / "report.html").read_text(encoding="utf-8")
        failure = self.case(bad_run, "说错口令还想登录").find("failure")
        assert failure is not None
        for view in (page, failure.text or ""):
            assert step.expected in view
            assert step.actual in view

    def test_a_step_that_nobody_has_defined_is_broken(self, bad_run: Path) -> None:
        broken = scenarios_of(bad_run)["没有定义的步骤"]
        assert broken.verdict is Verdict.BROKEN
        assert "Step definition is not found" in broken.steps[1].actual
        assert self.case(bad_run, "没有定义的步骤").find("error") is not None

    @pytest.mark.parametrize("name", ["要拔插的", "只看步骤就知道要拔插"])
    def test_what_the_device_cannot_do_is_not_applicable(self, bad_run: Path, name: str) -> None:
        scenario = scenarios_of(bad_run)[name]
        assert scenario.verdict is Verdict.NOT_APPLICABLE
        assert "CKF_REMOVABLE_DEVICE" in scenario.reason
        skipped = self.case(bad_run, name).find("skipped")
        assert skipped is not None
        assert scenario.reason in skipped.get("message", "")
        assert scenario.reason in (bad_run / "report.html").read_text(encoding="utf-8")

    def test_calls_stand_with_their_step_and_no_pin_is_anywhere(self, bad_run: Path) -> None:
        login = scenarios_of(bad_run)["说错口令还想登录"].steps[1]
        assert ("C_Login", "CKR_PIN_INCORRECT") in [(c.function, c.rv) for c in login.calls]
        for file in bad_run.iterdir():
            assert '"123456"' not in file.read_text(encoding="utf-8")

    def test_the_workers_parts_are_gone(self, bad_run: Path) -> None:
        names = {each.name for each in bad_run.iterdir()}
        assert names == {"record.json", "report.html", "junit.xml"}

    def case(self, folder: Path, name: str) -> ET.Element:
        tree = ET.parse(folder / "junit.xml")  # noqa: S314 - our own
        return next(case for case in tree.iter("testcase") if case.get("name") == name)


class TestCertify:
    def test_one_suite_on_a_fresh_emulated_key(self, tmp_path: Path) -> None:
        done = certify("--suite", "binding", "--report", str(tmp_path))
        assert done.returncode == 0, done.stdout + done.stderr
        run = load(tmp_path / "record.json")
        assert run.verdict is Verdict.MET
        assert {scenario.suite for scenario in run.scenarios} == {"binding"}
        assert run.device is not None
        assert run.device.measured["token"]["serial"]
        assert run.selection == ["--device", "emulated", "--suite", "binding"]
        assert "符合" in done.stdout
        assert (tmp_path / "report.html").is_file()

    @pytest.mark.parametrize(
        ("arguments", "message", "code"),
        [
            (["--device", "no-such"], "there is no device file 'no-such'", 2),
            (["--suite", "cooking"], "there is no suite 'cooking'", 1),
        ],
    )
    def test_wrong_arguments_are_told_before_anything_starts(
        self, tmp_path: Path, arguments: list[str], message: str, code: int
    ) -> None:
        done = certify(*arguments, "--report", str(tmp_path / "r"))
        assert done.returncode == code
        assert message in done.stderr
        assert not (tmp_path / "r").exists()

    @pytest.mark.parametrize("suite", ["binding", "pkcs11"])
    @pytest.mark.parametrize(
        ("kind", "module", "reason"),
        [
            ("softhsm2", "/nowhere/libgone.so", "/nowhere/libgone.so is not there"),
            ("module", "/nowhere/libgone.so", "/nowhere/libgone.so is not there"),
            ("softhsm2", __file__, "invalid ELF header"),
        ],
    )
    def test_a_device_that_cannot_be_opened_is_told_before_anything_starts(
        self, tmp_path: Path, suite: str, kind: str, module: str, reason: str
    ) -> None:
        file = tmp_path / "gone.toml"
        file.write_text(f"[device]\nkind = '{kind}'\nserial = '01'\nmodule = '{module}'\n")
        report = tmp_path / "r"
        done = certify("--device", str(file), "--suite", suite, "--report", str(report))
        assert done.returncode == 2
        [line] = done.stderr.splitlines()
        assert str(file) in line
        assert reason in line
        assert done.stdout == ""
        assert not report.exists()

    def test_a_report_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        folder = tmp_path / "file" / "r"
        done = certify("--suite", "binding", "--report", str(folder))
        assert done.returncode == 1
        assert f"the folder {folder} cannot be made (Not a directory)" in done.stderr

    def test_an_interrupted_run_leaves_a_valid_record(self, tmp_path: Path) -> None:
        process = subprocess.Popen(
            [*CERTIFY, "--suite", "pin", "--report", str(tmp_path)],
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("✓")
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=120)[0]
        assert process.returncode == 130, said
        assert "Traceback" not in said
        run = load(tmp_path / "record.json")
        assert run.state == "interrupted"
        assert run.counts["met"] >= 1
        assert run.counts["not_run"] >= 1
        assert {"report.html", "junit.xml"} <= {each.name for each in tmp_path.iterdir()}

    def test_a_killed_run_leaves_a_valid_record(self, tmp_path: Path) -> None:
        # What a killed process cannot clear away stays in the test's own folder.
        report, scratch = tmp_path / "r", tmp_path / "t"
        scratch.mkdir()
        process = subprocess.Popen(
            [*CERTIFY, "--suite", "binding", "--report", str(report)],
            env={**clean_environment(), "TMPDIR": str(scratch)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        for child in children_of(process.pid):
            os.kill(child, signal.SIGKILL)
        process.communicate(timeout=120)
        run = load(report / "record.json")
        assert run.state == "interrupted"
        assert run.counts["met"] >= 1
        assert run.counts["not_run"] >= 1


def children_of(pid: int) -> list[int]:
    """Return the processes whose parent is `pid`."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return found


@needs_softhsm
def test_a_vendors_key_with_its_owners_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole story on a key that was there before; SoftHSM2 plays the vendor's module."""
    module = read_device_file("softhsm2").module
    (tmp_path / "tokens").mkdir()
    (tmp_path / "conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    request = {"verb": "initialise", "module": module, "label": "theirs", "serial": ""}
    request |= {"so_pin": "so-pin-24680", "pin": "999999"}
    serial = ask(request, {"SOFTHSM2_CONF": str(tmp_path / "conf")})["serial"]
    file = tmp_path / "vendor.toml"
    file.write_text(
        f"""
        [device]
        name = "某厂的钥匙"
        kind = "module"
        module = "{module}"
        serial = "{serial}"
        [consent]
        erase = "序列号 {serial} 的钥匙可以清空"
        [pins]
        user_env = "VENDOR_PIN"
        so_env = "VENDOR_SO_PIN"
        [environment]
        SOFTHSM2_CONF = "{tmp_path / "conf"}"
        """,
        encoding="utf-8",
    )
    monkeypatch.setenv("VENDOR_PIN", "86421357")
    monkeypatch.setenv("VENDOR_SO_PIN", "so-pin-24680")
    report = tmp_path / "report"
    done = certify("--device", str(file), "--suite", "story", "--report", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    run = load(report / "record.json")
    assert run.counts["met"] == 1
    assert run.device is not None
    assert run.device.claimed["serial"] == serial
    for view in report.iterdir():
        assert "86421357" not in view.read_text(encoding="utf-8")


@needs_softhsm
@pytest.mark.timeout(TIME_LIMIT)
@pytest.mark.parametrize("suite", suite_names())
def test_the_same_scenarios_on_a_device_that_is_not_ours(tmp_path: Path, suite: str) -> None:
    done = certify("--device", "softhsm2", "--suite", suite, "--report", str(tmp_path))
    run = load(tmp_path / "record.json")
    bad = [(s.name, s.reason) for s in run.scenarios if s.verdict.harmful]
    assert not bad
    assert done.returncode == 0
    assert run.counts["met"] >= 1
    assert run.counts["not_run"] == 0
    for scenario in run.scenarios:
        assert scenario.verdict is Verdict.MET or "SoftHSM2" in scenario.reason
    document = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    assert len(document["scenarios"]) == sum(document["counts"].values())

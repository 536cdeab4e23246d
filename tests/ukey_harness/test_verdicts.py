"""The run record: what it says of runs that end well, badly, or not at all."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ukey_harness.verdicts.blank import BLANK, Blank
from ukey_harness.verdicts.journal import CUT_OFF, DIED, Journal, assemble
from ukey_harness.verdicts.record import Call, RecordError, Run, ScenarioRecord, StepRecord
from ukey_harness.verdicts.recorder import CALLS_KEPT, Recorder
from ukey_harness.verdicts.session import new_run
from ukey_harness.verdicts.store import load, save
from ukey_harness.verdicts.unmet import Unmet, demand
from ukey_harness.verdicts.verdict import Verdict, of_run, of_scenario


def scenario(name: str = "登录", steps: int = 3) -> ScenarioRecord:
    return ScenarioRecord(
        id=f"login/x::{name}",
        suite="login",
        feature="登录",
        name=name,
        file="features/login/x.feature",
        line=7,
        tags=["S-B3"],
        steps=[StepRecord("当", f"第 {n} 步", 8 + n) for n in range(steps)],
    )


def recorder(folder: Path) -> Recorder:
    return Recorder(Journal(folder, "main"))


def assembled(folder: Path, state: str = "finished") -> Run:
    return assemble(folder, new_run(), state)  # type: ignore[arg-type]


def play(folder: Path, *failures: BaseException | None, name: str = "登录") -> None:
    """Record a scenario of three steps, of which the last that runs may fail."""
    taking = recorder(folder)
    planned = scenario(name)
    taking.plan(planned)
    taking.begin(planned)
    for failure in failures:
        taking.begin_step()
        taking.end_step(failure)
    taking.end()


class TestAssembledRun:
    def test_one_that_goes_on_has_no_end_yet(self, tmp_path: Path) -> None:
        assert assembled(tmp_path, "running").ended == ""

    @pytest.mark.parametrize("state", ["finished", "interrupted"])
    def test_one_that_is_over_has_its_end_and_its_seconds(self, tmp_path: Path, state: str) -> None:
        run = new_run()
        begun = datetime.now(UTC) - timedelta(seconds=90)
        run.started = begun.isoformat(timespec="milliseconds")
        assemble(tmp_path, run, state)  # type: ignore[arg-type]
        assert 90 <= run.seconds < 100
        took = datetime.fromisoformat(run.ended) - datetime.fromisoformat(run.started)
        assert took.total_seconds() == pytest.approx(run.seconds, abs=0.01)


class TestVerdicts:
    @pytest.mark.parametrize(
        ("steps", "expected"),
        [
            ([Verdict.MET, Verdict.MET], Verdict.MET),
            ([Verdict.MET, Verdict.UNMET, Verdict.NOT_RUN], Verdict.UNMET),
            ([Verdict.BROKEN, Verdict.NOT_RUN], Verdict.BROKEN),
            ([Verdict.MET, Verdict.NOT_RUN], Verdict.NOT_RUN),
            ([Verdict.NOT_APPLICABLE], Verdict.NOT_APPLICABLE),
            ([], Verdict.NOT_RUN),
        ],
    )
    def test_a_scenario_has_its_worst_steps_verdict(
        self, steps: list[Verdict], expected: Verdict
    ) -> None:
        assert of_scenario(steps) is expected

    @pytest.mark.parametrize(
        ("scenarios", "expected"),
        [
            ([Verdict.MET, Verdict.NOT_APPLICABLE], Verdict.MET),
            ([Verdict.NOT_APPLICABLE], Verdict.NOT_APPLICABLE),
            ([Verdict.MET, Verdict.NOT_RUN], Verdict.NOT_RUN),
            ([Verdict.MET, Verdict.UNMET, Verdict.NOT_RUN], Verdict.UNMET),
            ([Verdict.UNMET, Verdict.BROKEN], Verdict.BROKEN),
            ([], Verdict.NOT_RUN),
        ],
    )
    def test_a_run_is_met_only_when_nothing_is_left_open(
        self, scenarios: list[Verdict], expected: Verdict
    ) -> None:
        assert of_run(scenarios) is expected


class TestRecorder:
    def test_all_steps_met(self, tmp_path: Path) -> None:
        play(tmp_path, None, None, None)
        [only] = assembled(tmp_path).scenarios
        assert only.verdict is Verdict.MET
        assert only.reason == ""
        assert only.started
        assert only.worker == "main"

    def test_an_unmet_step_keeps_expected_and_actual_and_the_rest_is_not_run(
        self, tmp_path: Path
    ) -> None:
        play(tmp_path, None, Unmet("登录成功", "退出码 5", "口令错误"))
        [only] = assembled(tmp_path).scenarios
        assert only.verdict is Verdict.UNMET
        assert [step.verdict.value for step in only.steps] == ["met", "unmet", "not_run"]
        assert (only.steps[1].expected, only.steps[1].actual) == ("登录成功", "退出码 5")
        assert only.steps[1].detail == "口令错误"
        assert "第 1 步" in only.reason
        assert "退出码 5" in only.reason

    def test_a_failing_assertion_is_unmet_and_anything_else_is_broken(self, tmp_path: Path) -> None:
        play(tmp_path, AssertionError("3 != 4"), name="断言")
        play(tmp_path, OSError("no space"), name="磁盘")
        by_name = {each.name: each for each in assembled(tmp_path).scenarios}
        assert by_name["断言"].verdict is Verdict.UNMET
        assert by_name["断言"].steps[0].actual == "3 != 4"
        assert by_name["磁盘"].verdict is Verdict.BROKEN
        assert "no space" in by_name["磁盘"].reason

    def test_not_applicable_marks_every_step_and_says_why(self, tmp_path: Path) -> None:
        taking = recorder(tmp_path)
        taking.begin(scenario())
        taking.not_applicable("不能拔出")
        taking.end()
        [only] = assembled(tmp_path).scenarios
        assert only.verdict is Verdict.NOT_APPLICABLE
        assert only.reason == "不能拔出"
        assert {step.verdict for step in only.steps} == {Verdict.NOT_APPLICABLE}

    def test_a_failure_outside_of_the_steps_is_broken(self, tmp_path: Path) -> None:
        taking = recorder(tmp_path)
        taking.begin(scenario())
        taking.end(RuntimeError("no device"))
        [only] = assembled(tmp_path).scenarios
        assert only.verdict is Verdict.BROKEN
        assert "no device" in only.reason

    def test_calls_belong_to_the_step_in_which_they_happened(self, tmp_path: Path) -> None:
        class Witness:
            def __init__(self) -> None:
                self.batches: list[list[Call]] = [
                    [Call("C_Initialize", "CKR_OK", 9)],  # before the first step
                    [Call("C_Login", "CKR_OK", 5, {"pin": "123456"})],
                    [],
                    [Call("C_Sign", "CKR_OK", n) for n in range(CALLS_KEPT + 50)],
                ]

            def calls(self) -> list[Call]:
                return self.batches.pop(0)

        taking = recorder(tmp_path)
        taking.blank.add("123456")
        taking.witness = Witness()
        taking.begin(scenario(steps=2))
        for _ in range(2):
            taking.begin_step()
            taking.end_step()
        taking.end()
        first, second = assembled(tmp_path).scenarios[0].steps
        assert [call.function for call in first.calls] == ["C_Login"]
        assert first.calls[0].arguments == {"pin": BLANK}
        assert len(second.calls) == CALLS_KEPT
        assert second.calls_omitted == 50
        assert second.calls[-1].us == CALLS_KEPT + 49

    def test_pins_are_blanked_in_words_notes_and_failures(self, tmp_path: Path) -> None:
        taking = recorder(tmp_path)
        taking.blank.add("86420975")
        with_pin = scenario(steps=1)
        with_pin.steps[0].text = "口令「86420975」"
        taking.begin(with_pin)
        taking.begin_step()
        taking.note("typed 86420975")
        taking.end_step(Unmet("a", "PIN 86420975 refused", "86420975"))
        taking.end()
        assert "86420975" not in (tmp_path / "main.jsonl").read_text()


class TestBlank:
    def test_a_secret_inside_of_a_longer_number_stays(self) -> None:
        blank = Blank(["123456"])
        assert blank.text("pin=123456, serial 91234567") == f"pin={BLANK}, serial 91234567"

    def test_values_are_blanked_all_the_way_down(self) -> None:
        assert Blank(["secret"]).value({"a": ["secret", 1, None]}) == {"a": [BLANK, 1, None]}


class TestInterruption:
    def begun(self, folder: Path) -> None:
        taking = recorder(folder)
        taking.plan(scenario("甲"))
        taking.plan(scenario("乙"))
        taking.begin(scenario("甲"))
        taking.begin_step()
        taking.end_step()
        taking.begin_step()

    def test_an_interrupted_run_keeps_what_was_seen_and_misses_nothing(
        self, tmp_path: Path
    ) -> None:
        self.begun(tmp_path)
        run = assembled(tmp_path, "interrupted")
        save(run, tmp_path / "record.json")
        again = load(tmp_path / "record.json")
        assert again.state == "interrupted"
        assert again.verdict is Verdict.NOT_RUN
        by_name = {each.name: each for each in again.scenarios}
        assert by_name["甲"].steps[0].verdict is Verdict.MET
        assert by_name["甲"].verdict is Verdict.NOT_RUN
        assert by_name["甲"].reason == CUT_OFF
        assert by_name["乙"].verdict is Verdict.NOT_RUN

    def test_a_process_that_died_in_a_scenario_breaks_it(self, tmp_path: Path) -> None:
        self.begun(tmp_path)
        by_name = {each.name: each for each in assembled(tmp_path, "finished").scenarios}
        assert by_name["甲"].verdict is Verdict.BROKEN
        assert by_name["甲"].reason == DIED

    def test_a_line_cut_off_in_the_middle_loses_only_itself(self, tmp_path: Path) -> None:
        play(tmp_path, None, None, None)
        journal = tmp_path / "main.jsonl"
        journal.write_bytes(journal.read_bytes() + b'{"event": "beg')
        assert assembled(tmp_path).scenarios[0].verdict is Verdict.MET

    def test_the_journals_of_several_workers_make_one_record(self, tmp_path: Path) -> None:
        for worker, name in (("gw0", "甲"), ("gw1", "乙")):
            taking = Recorder(Journal(tmp_path, worker))
            for planned in ("甲", "乙"):
                taking.plan(scenario(planned))
            taking.begin(scenario(name, steps=1))
            taking.begin_step()
            taking.end_step()
            taking.end()
        run = assembled(tmp_path)
        assert {each.name: each.worker for each in run.scenarios} == {"甲": "gw0", "乙": "gw1"}
        assert run.verdict is Verdict.MET


class TestStore:
    def test_a_record_survives_the_way_to_disk_and_back(self, tmp_path: Path) -> None:
        play(tmp_path / "parts", None, Unmet("a", "b"))
        run = assembled(tmp_path / "parts")
        save(run, tmp_path / "record.json")
        assert load(tmp_path / "record.json") == run

    def test_a_failed_write_leaves_the_old_record(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "record.json"
        save(new_run("first"), path)
        before = path.read_bytes()

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("ukey_harness.verdicts.store.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            save(new_run("second"), path)
        assert path.read_bytes() == before
        assert [each.name for each in tmp_path.iterdir()] == ["record.json"]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"schema": "else"}, "no run record"),
            ({"version": 99}, "version"),
            ({"verdict": "not_run"}, "changed after it was written"),
            ({"scenarios": {}}, "scenarios is dict"),
            ({"run": 5}, "run: a JSON object"),
        ],
    )
    def test_a_bad_record_is_refused_with_its_fault(
        self, tmp_path: Path, change: dict[str, Any], message: str
    ) -> None:
        play(tmp_path / "parts", None, None, None)
        path = tmp_path / "record.json"
        save(assembled(tmp_path / "parts"), path)
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        with pytest.raises(RecordError, match=message):
            load(path)

    def test_a_verdict_that_was_improved_by_hand_is_noticed(self, tmp_path: Path) -> None:
        play(tmp_path / "parts", Unmet("a", "b"))
        path = tmp_path / "record.json"
        save(assembled(tmp_path / "parts"), path)
        document = json.loads(path.read_text())
        document["verdict"] = "met"
        path.write_text(json.dumps(document))
        with pytest.raises(RecordError, match="changed"):
            load(path)

    def test_no_file_and_no_json(self, tmp_path: Path) -> None:
        with pytest.raises(RecordError, match="cannot read"):
            load(tmp_path / "none.json")
        (tmp_path / "bad.json").write_text("{")
        with pytest.raises(RecordError, match=r"bad\.json"):
            load(tmp_path / "bad.json")


def test_demand_raises_only_when_the_condition_fails() -> None:
    demand([1], "x", "y")
    with pytest.raises(Unmet) as caught:
        demand([], "一个", "没有", "细节")
    assert (caught.value.expected, caught.value.actual, caught.value.detail) == (
        "一个",
        "没有",
        "细节",
    )

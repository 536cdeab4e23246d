"""The views of the record: they show what it holds, and escape it."""

from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ukey_harness.verdicts.record import (
    Call,
    CapabilityRecord,
    DeviceRecord,
    Run,
    ScenarioRecord,
    StepRecord,
)
from ukey_harness.verdicts.store import load
from ukey_harness.verdicts.verdict import Verdict
from ukey_harness.views.files import write_report
from ukey_harness.views.junit import junit
from ukey_harness.views.page import html

NASTY = '<script>alert("x")</script>&\x07'


class Words(HTMLParser):
    """The words of a page, and the tags in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.ids.add(given.get("id", ""))
        self.links += [given[name] for name in ("href", "src") if given.get(name)]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def made(verdict: Verdict, name: str, **more: str) -> ScenarioRecord:
    step = StepRecord(
        "当",
        f"{name}的一步",
        9,
        verdict,
        expected=more.get("expected", ""),
        actual=more.get("actual", ""),
        detail=more.get("detail", ""),
        seconds=0.25,
        calls=[Call("C_Login", "CKR_PIN_INCORRECT", 1500, {"userType": 1})],
        notes=[more["note"]] if "note" in more else [],
    )
    return ScenarioRecord(
        id=f"pin/x::{name}",
        suite="pin",
        feature="口令",
        name=name,
        file="features/pin/x.feature",
        line=5,
        tags=["S-B3"],
        verdict=verdict,
        reason=more.get("reason", ""),
        seconds=1.5,
        steps=[step],
    )


@pytest.fixture
def run() -> Run:
    device = DeviceRecord(
        name=f"钥匙 {NASTY}",
        kind="module",
        claimed={"vendor": "V", "removable": True, "locks_after": 6},
        measured={"token": {"serial": "0042", "flags": ["CKF_RNG"]}, "tries_left": None},
        capabilities=[CapabilityRecord("plugging", "可以插拔", present=False, reason="没有标志")],
        discrepancies=["设备文件称可以拔出，而没有标志"],
    )
    return Run(
        id="r1",
        started="2026-01-02T03:04:05+00:00",
        tool={"name": "ukeylab", "version": "0", "python": "3", "platform": "p"},
        state="finished",
        seconds=9.0,
        device=device,
        scenarios=[
            made(Verdict.MET, "好的"),
            made(
                Verdict.UNMET,
                "坏的",
                reason="为什么坏",
                expected=f"应该 {NASTY}",
                actual=f"其实 {NASTY}",
                detail="更多细节",
                note=f"$ ukey {NASTY}",
            ),
            made(Verdict.BROKEN, "断的", reason="断在哪里", actual="OSError"),
            made(Verdict.NOT_APPLICABLE, "不适用的", reason="令牌不能拔出"),
            made(Verdict.NOT_RUN, "没跑的"),
        ],
    )


class TestPage:
    def test_everything_of_the_record_is_on_it(self, run: Run) -> None:
        text = Words(html(run)).text
        for words in ("为什么坏", "断在哪里", "令牌不能拔出", "可以插拔", "没有标志", "0042"):
            assert words in text
        for scenario in run.scenarios:
            assert scenario.name in text
            assert scenario.verdict.chinese in text
        assert "CKR_PIN_INCORRECT" in text
        assert "1.5 ms" in text
        assert "设备文件称可以拔出" in text

    def test_expected_and_actual_stand_on_it(self, run: Run) -> None:
        text = Words(html(run)).text
        assert "应该" in text
        assert "其实" in text
        assert "更多细节" in text

    def test_what_comes_from_outside_is_escaped(self, run: Run) -> None:
        page = Words(html(run))
        assert page.tags.count("script") == 1  # ours, which unfolds the page for the printer
        assert page.text.count('alert("x")') >= 4

    def test_it_needs_nothing_from_elsewhere(self, run: Run) -> None:
        page = Words(html(run))
        assert all(link.startswith("#") for link in page.links)
        assert {link.removeprefix("#") for link in page.links} <= page.ids
        assert "url(" not in html(run)
        assert "@import" not in html(run)

    def test_a_serial_number_that_is_not_claimed_is_only_an_example(self, run: Run) -> None:
        assert run.device is not None
        run.device.claimed.pop("serial", None)
        assert "0042 （示例：每个场景新制一把" in Words(html(run)).text
        run.device.claimed["serial"] = "0042"
        assert "示例" not in Words(html(run)).text

    def test_a_run_without_device_and_scenarios_can_be_shown(self) -> None:
        empty = Run(id="r", started="", tool={"name": "ukeylab"}, state="interrupted")
        text = Words(html(empty)).text
        assert "没有打开设备" in text
        assert "中途中断" in text


def parsed(run: Run) -> ET.Element:
    return ET.fromstring(junit(run))  # noqa: S314 - our own


class TestJunit:
    def cases(self, run: Run) -> dict[str, ET.Element]:
        return {case.get("name", ""): case for case in parsed(run).iter("testcase")}

    def test_counts(self, run: Run) -> None:
        top = parsed(run)
        counts = {key: top.get(key) for key in ("tests", "failures", "errors", "skipped")}
        assert counts == {"tests": "5", "failures": "1", "errors": "1", "skipped": "2"}

    def test_not_applicable_is_skipped_with_its_reason(self, run: Run) -> None:
        skipped = self.cases(run)["不适用的"].find("skipped")
        assert skipped is not None
        assert skipped.get("message") == "not_applicable: 令牌不能拔出"

    def test_unmet_is_a_failure_with_expected_and_actual(self, run: Run) -> None:
        failure = self.cases(run)["坏的"].find("failure")
        assert failure is not None
        assert failure.get("message") == "为什么坏"
        assert "expected: 应该 <script>" in failure.text
        assert "actual:   其实 <script>" in failure.text
        assert "更多细节" in failure.text

    def test_broken_is_an_error_and_met_is_neither(self, run: Run) -> None:
        cases = self.cases(run)
        assert cases["断的"].find("error") is not None
        assert not [each.tag for each in cases["好的"] if each.tag != "system-out"]

    def test_what_xml_cannot_hold_is_replaced(self, run: Run) -> None:
        assert "\x07" not in junit(run)
        assert "\ufffd" in junit(run)


def test_the_report_is_three_files_that_agree(run: Run, tmp_path: Path) -> None:
    write_report(run, tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    names = {each.name for each in folder.iterdir()}
    assert names == {"record.json", "report.html", "junit.xml"}
    assert load(folder / "record.json") == run

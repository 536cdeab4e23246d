"""JUnit XML from a run record, for CI servers (the schema of the Jenkins xUnit plugin)."""

import re
from xml.etree import ElementTree as ET

from ukey_harness.verdicts.record import Run, ScenarioRecord, StepRecord
from ukey_harness.verdicts.verdict import Verdict

# What XML 1.0 §2.2 does not allow in a document, even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(run: Run) -> str:
    """Return the record as JUnit: a suite per feature folder, a case per scenario.

    unmet is a failure, broken an error, not_applicable and not_run are skipped with their message.
    """
    top = ET.Element("testsuites", name="ukeylab", time=f"{run.seconds:.3f}")
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    suites: dict[str, list[ScenarioRecord]] = {}
    for scenario in run.scenarios:
        suites.setdefault(scenario.suite, []).append(scenario)
    for name, scenarios in suites.items():
        counts = _counts(scenarios)
        suite = ET.SubElement(
            top,
            "testsuite",
            name=name,
            timestamp=run.started,
            time=f"{sum(each.seconds for each in scenarios):.3f}",
        )
        suite.attrib.update({key: str(count) for key, count in counts.items()})
        _properties(suite, run)
        for scenario in scenarios:
            _case(suite, scenario)
        for key, count in counts.items():
            totals[key] += count
    top.attrib.update({key: str(count) for key, count in totals.items()})
    ET.indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(top, encoding="unicode") + "\n"


def _counts(scenarios: list[ScenarioRecord]) -> dict[str, int]:
    verdicts = [each.verdict for each in scenarios]
    return {
        "tests": len(verdicts),
        "failures": verdicts.count(Verdict.UNMET),
        "errors": verdicts.count(Verdict.BROKEN),
        "skipped": verdicts.count(Verdict.NOT_APPLICABLE) + verdicts.count(Verdict.NOT_RUN),
    }


def _properties(suite: ET.Element, run: Run) -> None:
    holder = ET.SubElement(suite, "properties")
    facts = {"run": run.id, "state": run.state, "tool": " ".join(run.tool.values())}
    if run.device is not None:
        token = run.device.measured.get("token", {})
        facts |= {"device": run.device.name, "serial": str(token.get("serial", ""))}
    for name, value in facts.items():
        ET.SubElement(holder, "property", name=name, value=_clean(value))


def _case(suite: ET.Element, scenario: ScenarioRecord) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_clean(f"{scenario.suite}.{scenario.feature}"),
        name=_clean(scenario.name),
        file=scenario.file,
        line=str(scenario.line),
        time=f"{scenario.seconds:.3f}",
    )
    match scenario.verdict:
        case Verdict.UNMET | Verdict.BROKEN:
            step = next((each for each in scenario.steps if each.verdict.harmful), None)
            tag = "failure" if scenario.verdict is Verdict.UNMET else "error"
            problem = ET.SubElement(
                case, tag, type=scenario.verdict.value, message=_clean(scenario.reason)
            )
            problem.text = _clean(_story(step) if step else scenario.reason)
        case Verdict.NOT_APPLICABLE | Verdict.NOT_RUN:
            reason = scenario.reason or scenario.verdict.chinese
            ET.SubElement(case, "skipped", message=_clean(f"{scenario.verdict.value}: {reason}"))
    out = ET.SubElement(case, "system-out")
    out.text = _clean(
        "\n".join(f"[{s.verdict.value}] {s.keyword} {s.text}" for s in scenario.steps)
    )


def _story(step: StepRecord) -> str:
    lines = [
        f"step:     {step.keyword} {step.text}",
        f"expected: {step.expected}",
        f"actual:   {step.actual}",
    ]
    if step.detail:
        lines += ["", step.detail]
    return "\n".join(lines)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)

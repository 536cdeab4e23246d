"""The run as it goes: lines appended by each process, put together into one record.

A process only ever appends whole lines to its own file, so whatever kills it, what was seen until
then is there. `assemble` reads the files of all processes of a run.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from ukey_harness.verdicts.record import (
    DeviceRecord,
    Run,
    ScenarioRecord,
    State,
    StepRecord,
    device_from_json,
    scenario_from_json,
    step_from_json,
)
from ukey_harness.verdicts.verdict import Verdict

SUFFIX = ".jsonl"
CUT_OFF = "运行在此场景中途被中断"
DIED = "进程在此场景中途终止，没有留下判定"


class Journal:
    """Appends what happens in one process to a file of its own."""

    def __init__(self, folder: Path, worker: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.worker = worker
        self._stream: TextIO = (folder / f"{worker}{SUFFIX}").open("a", encoding="utf-8")

    def device(self, device: DeviceRecord) -> None:
        """Say what the device under test is."""
        self._write({"event": "device", "device": asdict(device)})

    def planned(self, scenario: ScenarioRecord) -> None:
        """Say that this scenario belongs to the run."""
        self._write({"event": "planned", "scenario": asdict(scenario)})

    def begun(self, scenario: ScenarioRecord) -> None:
        """Say that this scenario begins in this process."""
        scenario.worker = self.worker
        self._write({"event": "begun", "scenario": asdict(scenario)})

    def step(self, scenario: ScenarioRecord, index: int, step: StepRecord) -> None:
        """Say what became of the step with that index."""
        self._write({"event": "step", "id": scenario.id, "index": index, "step": asdict(step)})

    def ended(self, scenario: ScenarioRecord) -> None:
        """Say the verdict of this scenario."""
        self._write(
            {
                "event": "ended",
                "id": scenario.id,
                "verdict": scenario.verdict,
                "reason": scenario.reason,
                "seconds": scenario.seconds,
            }
        )

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _write(self, event: dict[str, Any]) -> None:
        self._stream.write(json.dumps(event, ensure_ascii=False) + "\n")
        self._stream.flush()


def assemble(folder: Path, run: Run, state: State) -> Run:
    """Fill the run with what the journals in the folder tell; state says how the run stands.

    A run that is not "running" any more ends now; its seconds are those since it started.
    """
    now = datetime.now(UTC)
    run.ended = "" if state == "running" else now.isoformat(timespec="milliseconds")
    run.seconds = round(max((now - datetime.fromisoformat(run.started)).total_seconds(), 0.0), 3)
    scenarios: dict[str, ScenarioRecord] = {}
    open_ones: set[str] = set()
    for file in sorted(folder.glob(f"*{SUFFIX}")):
        for event in _events(file):
            _apply(event, run, scenarios, open_ones)
    for name in open_ones:
        _leave(scenarios[name], state)
    run.scenarios = sorted(scenarios.values(), key=lambda each: (each.file, each.line, each.id))
    run.state = state
    return run


def _apply(
    event: dict[str, Any], run: Run, scenarios: dict[str, ScenarioRecord], open_ones: set[str]
) -> None:
    match event["event"]:
        case "device":
            run.device = run.device or device_from_json(event["device"])
        case "planned":
            planned = scenario_from_json(event["scenario"])
            scenarios.setdefault(planned.id, planned)
        case "begun":
            begun = scenario_from_json(event["scenario"])
            scenarios[begun.id] = begun
            open_ones.add(begun.id)
        case "step":
            scenario = scenarios[event["id"]]
            scenario.steps[event["index"]] = step_from_json(event["step"], scenario.id)
        case "ended":
            scenario = scenarios[event["id"]]
            scenario.verdict = Verdict(event["verdict"])
            scenario.reason = event["reason"]
            scenario.seconds = event["seconds"]
            open_ones.discard(scenario.id)


def _leave(scenario: ScenarioRecord, state: State) -> None:
    """Judge a scenario that began and never ended."""
    for step in scenario.steps:
        if step.verdict.harmful:
            scenario.verdict = step.verdict
            return
    scenario.verdict = Verdict.BROKEN if state == "finished" else Verdict.NOT_RUN
    scenario.reason = DIED if state == "finished" else CUT_OFF


def _events(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines; the last one may have been cut off by the end of its process."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return

"""The run record as objects, and as JSON: SCHEMA.md says what each field means."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ukey_harness.verdicts.verdict import Verdict, of_run

SCHEMA = "ukeylab.run-record"
VERSION = 1

State = Literal["running", "finished", "interrupted"]


@dataclass
class Call:
    """One call of the module between two steps; PINs are blanked out before it comes here."""

    function: str
    rv: str
    us: int
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass
class StepRecord:
    """One step: its words, its verdict, and what was seen."""

    keyword: str
    text: str
    line: int
    verdict: Verdict = Verdict.NOT_RUN
    expected: str = ""
    actual: str = ""
    detail: str = ""
    seconds: float = 0.0
    calls: list[Call] = field(default_factory=list)
    calls_omitted: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass
class ScenarioRecord:
    """One scenario: where it stands, what it shows (tags), its steps and its verdict."""

    id: str
    suite: str
    feature: str
    name: str
    file: str
    line: int
    tags: list[str] = field(default_factory=list)
    verdict: Verdict = Verdict.NOT_RUN
    reason: str = ""
    started: str = ""
    seconds: float = 0.0
    worker: str = ""
    steps: list[StepRecord] = field(default_factory=list)


@dataclass
class CapabilityRecord:
    """Whether the device can do a thing, and the sentence that says why."""

    name: str
    title: str
    present: bool
    reason: str


@dataclass
class DeviceRecord:
    """The device under test: what it claims, what it shows, and what follows from both."""

    name: str
    kind: str
    claimed: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    capabilities: list[CapabilityRecord] = field(default_factory=list)
    discrepancies: list[str] = field(default_factory=list)


@dataclass
class Run:
    """One run of scenarios against one device."""

    id: str
    started: str
    tool: dict[str, str]
    state: State = "running"
    ended: str = ""
    seconds: float = 0.0
    selection: list[str] = field(default_factory=list)
    device: DeviceRecord | None = None
    scenarios: list[ScenarioRecord] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """The verdict of the whole run, computed from its scenarios."""
        return of_run(scenario.verdict for scenario in self.scenarios)

    @property
    def counts(self) -> dict[str, int]:
        """How many scenarios have each verdict; every verdict is a key."""
        seen = Counter(scenario.verdict for scenario in self.scenarios)
        return {verdict.value: seen[verdict] for verdict in Verdict}


class RecordError(ValueError):
    """A record cannot be read; the message names the place and the fault."""


def to_json(run: Run) -> dict[str, Any]:
    """Return the record as JSON values."""
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "run": {
            "id": run.id,
            "state": run.state,
            "started": run.started,
            "ended": run.ended,
            "seconds": run.seconds,
            "selection": run.selection,
            "tool": run.tool,
        },
        "verdict": run.verdict.value,
        "counts": run.counts,
        "device": None if run.device is None else asdict(run.device),
        "scenarios": [asdict(scenario) for scenario in run.scenarios],
    }


def from_json(document: object) -> Run:
    """Return the run that a JSON document holds; RecordError names what is wrong with it."""
    top = _mapping(document, "record")
    if top.get("schema") != SCHEMA:
        raise RecordError(f"this is no run record: schema is {top.get('schema')!r}, not {SCHEMA!r}")
    if top.get("version") != VERSION:
        raise RecordError(
            f"the record has version {top.get('version')!r}; this ukeylab reads version {VERSION}"
        )
    head = _mapping(top.get("run"), "run")
    device = top.get("device")
    run = Run(
        id=_text(head, "id", "run"),
        started=_text(head, "started", "run"),
        tool={str(k): str(v) for k, v in _mapping(head.get("tool"), "run.tool").items()},
        state=_state(head),
        ended=_text(head, "ended", "run"),
        seconds=_number(head, "seconds", "run"),
        selection=[str(word) for word in _items(head, "selection", "run")],
        device=None if device is None else device_from_json(device),
        scenarios=[scenario_from_json(each) for each in _items(top, "scenarios", "record")],
    )
    if top.get("verdict") != run.verdict.value or top.get("counts") != run.counts:
        raise RecordError(
            f"the record says {top.get('verdict')!r} {top.get('counts')!r}, but its scenarios "
            f"give {run.verdict.value!r} {run.counts!r}: it was changed after it was written"
        )
    return run


def device_from_json(value: object) -> DeviceRecord:
    """Return the device of a record."""
    device = _mapping(value, "device")
    return DeviceRecord(
        name=_text(device, "name", "device"),
        kind=_text(device, "kind", "device"),
        claimed=dict(_mapping(device.get("claimed"), "device.claimed")),
        measured=dict(_mapping(device.get("measured"), "device.measured")),
        capabilities=[
            _capability(_mapping(each, "capability"))
            for each in _items(device, "capabilities", "device")
        ],
        discrepancies=[str(each) for each in _items(device, "discrepancies", "device")],
    )


def _capability(value: Mapping[str, Any]) -> CapabilityRecord:
    if not isinstance(value.get("present"), bool):
        raise RecordError(f"capability: present is {value.get('present')!r}, not true or false")
    return CapabilityRecord(
        name=_text(value, "name", "capability"),
        title=_text(value, "title", "capability"),
        present=value["present"],
        reason=_text(value, "reason", "capability"),
    )


def scenario_from_json(value: object) -> ScenarioRecord:
    """Return one scenario of a record."""
    scenario = _mapping(value, "scenario")
    name = _text(scenario, "id", "scenario")
    return ScenarioRecord(
        id=name,
        suite=_text(scenario, "suite", name),
        feature=_text(scenario, "feature", name),
        name=_text(scenario, "name", name),
        file=_text(scenario, "file", name),
        line=int(_number(scenario, "line", name)),
        tags=[str(tag) for tag in _items(scenario, "tags", name)],
        verdict=_verdict(scenario, name),
        reason=_text(scenario, "reason", name),
        started=_text(scenario, "started", name),
        seconds=_number(scenario, "seconds", name),
        worker=_text(scenario, "worker", name),
        steps=[step_from_json(step, name) for step in _items(scenario, "steps", name)],
    )


def step_from_json(value: object, place: str) -> StepRecord:
    """Return one step of a record; place names it in errors."""
    step = _mapping(value, f"{place}: step")
    return StepRecord(
        keyword=_text(step, "keyword", place),
        text=_text(step, "text", place),
        line=int(_number(step, "line", place)),
        verdict=_verdict(step, place),
        expected=_text(step, "expected", place),
        actual=_text(step, "actual", place),
        detail=_text(step, "detail", place),
        seconds=_number(step, "seconds", place),
        calls=[_call(_mapping(each, place), place) for each in _items(step, "calls", place)],
        calls_omitted=int(_number(step, "calls_omitted", place)),
        notes=[str(note) for note in _items(step, "notes", place)],
    )


def _call(value: Mapping[str, Any], place: str) -> Call:
    return Call(
        function=_text(value, "function", place),
        rv=_text(value, "rv", place),
        us=int(_number(value, "us", place)),
        arguments=dict(_mapping(value.get("arguments"), place)),
    )


def _mapping(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RecordError(f"{place}: a JSON object is wanted, not {type(value).__name__}")
    return value


def _items(holder: Mapping[str, Any], key: str, place: str) -> list[Any]:
    value = holder.get(key)
    if not isinstance(value, list):
        raise RecordError(f"{place}: {key} is {type(value).__name__}, a list is wanted")
    return value


def _text(holder: Mapping[str, Any], key: str, place: str) -> str:
    value = holder.get(key)
    if not isinstance(value, str):
        raise RecordError(f"{place}: {key} is {type(value).__name__}, a text is wanted")
    return value


def _number(holder: Mapping[str, Any], key: str, place: str) -> float:
    value = holder.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(f"{place}: {key} is {type(value).__name__}, a number is wanted")
    return value


def _verdict(holder: Mapping[str, Any], place: str) -> Verdict:
    try:
        return Verdict(str(holder.get("verdict")))
    except ValueError:
        raise RecordError(f"{place}: {holder.get('verdict')!r} is no verdict") from None


def _state(head: Mapping[str, Any]) -> State:
    match head.get("state"):
        case "running":
            return "running"
        case "finished":
            return "finished"
        case "interrupted":
            return "interrupted"
        case other:
            raise RecordError(f"run: {other!r} is no state")

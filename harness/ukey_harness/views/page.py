"""The run record as one HTML page that needs nothing from outside."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ukey_harness.verdicts.record import Run, ScenarioRecord
from ukey_harness.verdicts.verdict import Verdict

SUITES = {
    "story": ("钥匙的一生", "The whole story"),
    "login": ("登录", "Login"),
    "binding": ("绑定", "Binding"),
    "sealing": ("电子签章", "Sealing"),
    "renewal": ("证书延期", "Renewal"),
    "pin": ("口令", "PIN"),
    "token": ("令牌", "Token"),
    "card": ("读卡器与卡片", "Card in a reader"),
    "pkcs11": ("PKCS#11 接口", "PKCS#11"),
    "oasis": ("OASIS 规范用例", "OASIS profiles"),
}
ENGLISH = {
    Verdict.MET: "met",
    Verdict.UNMET: "unmet",
    Verdict.BROKEN: "broken",
    Verdict.NOT_APPLICABLE: "not applicable",
    Verdict.NOT_RUN: "not run",
}
STATES = {"running": "仍在运行", "finished": "运行完毕", "interrupted": "中途中断"}


@dataclass(frozen=True)
class Suite:
    """One folder of features on the page."""

    name: str
    title: str
    english: str
    features: dict[str, list[ScenarioRecord]]
    counts: Counter[Verdict]

    @property
    def total(self) -> int:
        """How many scenarios it has."""
        return self.counts.total()


def html(run: Run) -> str:
    """Return the page; every text of the record is escaped."""
    slowest = max((scenario.seconds for scenario in run.scenarios), default=0.0)
    return _template().render(
        run=run,
        suites=_suites(run),
        requirements=_requirements(run),
        Verdict=Verdict,
        english=ENGLISH,
        state=STATES[run.state],
        slowest=slowest or 1.0,
    )


def _suites(run: Run) -> list[Suite]:
    groups: dict[str, list[ScenarioRecord]] = {}
    for scenario in run.scenarios:
        groups.setdefault(scenario.suite, []).append(scenario)
    order = [*(name for name in SUITES if name in groups), *(n for n in groups if n not in SUITES)]
    suites = []
    for name in order:
        features: dict[str, list[ScenarioRecord]] = {}
        for scenario in groups[name]:
            features.setdefault(scenario.feature, []).append(scenario)
        title, english = SUITES.get(name, (name, name))
        counts = Counter(scenario.verdict for scenario in groups[name])
        suites.append(Suite(name, title, english, features, counts))
    return suites


def _requirements(run: Run) -> dict[str, Counter[Verdict]]:
    """Return for each requirement id (S-B3, K-2…) the verdicts of the scenarios that show it."""
    found: dict[str, Counter[Verdict]] = {}
    for scenario in run.scenarios:
        for tag in scenario.tags:
            if tag[:2] in {"S-", "K-"}:
                found.setdefault(tag, Counter())[scenario.verdict] += 1
    return dict(sorted(found.items()))


def _clock(text: str) -> str:
    """Return an ISO time as people write it; what is no time stays as it is."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S UTC")
    except ValueError:
        return text or "—"


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _micros(value: int) -> str:
    return f"{value} µs" if value < 1000 else f"{value / 1000:.1f} ms"  # noqa: PLR2004 - SI


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("ukey_harness.views"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clock": _clock, "seconds": _seconds, "micros": _micros}
    return environment.get_template("report.html")

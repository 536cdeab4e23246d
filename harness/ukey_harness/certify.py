"""`ukey certify`: scenarios and conformance cases against a device, judged and written down."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ukey_harness.extras import require_pcsc, require_world

if TYPE_CHECKING:
    from ukey_harness.verdicts.record import Run, ScenarioRecord

DEFAULT_DEVICE = "emulated"
POLL = 0.2  # seconds
GRACE = 60.0  # seconds that an interrupted run has to leave the device as it should be
INTERRUPTED = 130
UNUSABLE = 2
CASES = "pkcs11"  # a suite of conformance cases; what is no such suite is a folder of scenarios
CARD = "card"  # another, put to a card in a reader
OASIS = "oasis"  # another, whose cases are read from files
CASE_SUITES = (CASES, CARD, OASIS)
CARD_GROUPS = {"AP", "PV", "RD"}
MARKS = {
    "met": ("✓", "green"),
    "not_applicable": ("–", "bright_black"),
    "not_run": ("○", "bright_black"),
}


class _DeviceUnusable(click.ClickException):
    """Nothing was run, so nothing was judged: another exit code than that of a bad verdict."""

    exit_code = UNUSABLE


@click.command()
@click.option(
    "--device",
    default=DEFAULT_DEVICE,
    show_default=True,
    metavar="FILE",
    help="emulated, emulated-piv, emulated-opensc, softhsm2, or a device file's path.",
)
@click.option(
    "--suite", "suites", multiple=True, metavar="NAME", help="Only this suite; repeatable."
)
@click.option(
    "--case",
    "cases",
    multiple=True,
    metavar="ID",
    help="Of the conformance cases only this one (EN-09) or group (EN); repeatable.",
)
@click.option(
    "--oasis",
    "place",
    type=click.Path(path_type=Path),
    metavar="PATH",
    envvar="UKEYLAB_OASIS",
    help="Of the suite oasis: a test case's XML file, or a folder of them.  [env: UKEYLAB_OASIS]",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for record.json, report.html and junit.xml (default: ukey-report/TIME).",
)
@click.pass_context
def certify(
    context: click.Context,
    *,
    device: str,
    suites: tuple[str, ...],
    cases: tuple[str, ...],
    place: Path | None,
    report: Path | None,
) -> None:
    """Judge a key by the scenarios or the conformance cases and write a report.

    Suites: binding, login, pin, renewal, sealing, story; these are run when none is named. pkcs11:
    the conformance cases of PKCS#11, by raw calls of the module. card: those of PC/SC and PIV, on
    the card in a reader; they are run when the device file names a reader and no suite is named.
    oasis: the test cases of the OASIS PKCS#11 Profiles, replayed from the files that --oasis names.

    Exit code 0: nothing was unmet or broken; 1: something was, or was never reached; 2: the
    device cannot be used, nothing was run; 130: interrupted.
    """
    from ukey_harness.views.files import FolderError, make_folder  # noqa: PLC0415 - not for --help

    named = context.get_parameter_source("place") is ParameterSource.COMMANDLINE
    suites = suites or ((OASIS,) if named else _suites_of(device, cases))
    choice = Choice(suites, cases, place)
    if choice.scenarios is not None:
        require_world()
    if CARD in suites:
        require_pcsc()
    if named and OASIS not in suites:
        raise click.ClickException(f"--oasis is for the suite {OASIS}: name that suite too")
    _check(device, choice)
    _open_once(device)
    folder = (report or Path("ukey-report") / time.strftime("%Y%m%d-%H%M%S")).absolute()
    try:
        make_folder(folder)
    except FolderError as error:
        raise click.ClickException(f"{error}: choose another with --report") from error
    run, interrupted = conduct(device, choice, folder)
    _show(run, folder)
    if interrupted:
        raise click.exceptions.Exit(INTERRUPTED)
    raise click.exceptions.Exit(0 if run.verdict.value in {"met", "not_applicable"} else 1)


@dataclass(frozen=True)
class Choice:
    """What is run: suites (none: all scenarios), of their cases those named, and oasis' place."""

    suites: tuple[str, ...]
    cases: tuple[str, ...] = ()
    place: Path | None = None

    @property
    def scenarios(self) -> tuple[str, ...] | None:
        """The suites of scenarios, empty for all; None when there are only cases."""
        rest = tuple(each for each in self.suites if each not in CASE_SUITES)
        return rest if rest or not self.suites else None

    @property
    def words(self) -> list[str]:
        """The choice as the command line's words, for the record."""
        options = {"--suite": self.suites, "--case": self.cases}
        words = [
            word for name, values in options.items() for each in values for word in (name, each)
        ]
        return words + (["--oasis", str(self.place)] if OASIS in self.suites else [])


def conduct(device: str, choice: Choice, folder: Path) -> "tuple[Run, bool]":
    """Run scenarios in a child process, cases in theirs; return the record, and if interrupted.

    Whatever becomes of the child, the record is there: it is put together from what was written
    down until then.
    """
    from ukey_harness.verdicts.journal import assemble  # noqa: PLC0415 - not for --help
    from ukey_harness.verdicts.session import new_run, parts_of  # noqa: PLC0415 - the same
    from ukey_harness.verdicts.store import load  # noqa: PLC0415 - the same
    from ukey_harness.views.files import RECORD, write_report  # noqa: PLC0415 - the same

    run = new_run()
    run.selection = ["--device", device, *choice.words]
    parts = parts_of(folder, run.id)
    (folder / RECORD).unlink(missing_ok=True)
    interrupted = _conduct_cases(device, choice, parts)
    if not interrupted and choice.scenarios is not None:
        interrupted = _run_child(device, choice.scenarios, folder, run, parts)
        finished = False  # the child writes the final record, if it lives to do it
    else:
        finished = not interrupted
    if parts.is_dir():
        write_report(assemble(parts, run, "finished" if finished else "interrupted"), folder)
        shutil.rmtree(parts, ignore_errors=True)
    if not (folder / RECORD).is_file():
        log = (folder / "pytest.log").read_text(encoding="utf-8", errors="replace").strip()
        raise click.ClickException(f"the run did not start; pytest said:\n{log[-2000:]}")
    return load(folder / RECORD), interrupted


def _conduct_cases(device: str, choice: Choice, parts: Path) -> bool:
    """Run the suites of cases; True when interrupted."""
    from ukey_harness.cases.catalogue import shared_out  # noqa: PLC0415 - not for --help
    from ukey_harness.cases.running.conduct import conduct_cases  # noqa: PLC0415 - the same

    suites = [each for each in CASE_SUITES if each in choice.suites]
    place = choice.place.absolute() if choice.place else None
    for suite, names in shared_out(choice.cases, suites, place).items():
        if conduct_cases(device, parts, names, suite=suite, place=place, show=show_entry):
            return True
    return False


def _check(device: str, choice: Choice) -> None:
    """End with a message when device file, suite or case is wrong, before anything starts."""
    from ukey_harness.cases.catalogue import UnknownCase, shared_out  # noqa: PLC0415 - not for --help
    from ukey_harness.cases.oasis.elements import OasisError  # noqa: PLC0415 - the same
    from ukey_harness.device.claim import DeviceFileError, read_device_file  # noqa: PLC0415
    from ukey_harness.features_folder import suite_names  # noqa: PLC0415 - not for --help

    try:
        kind = read_device_file(device).kind
    except DeviceFileError as error:
        raise _DeviceUnusable(str(error)) from error
    if (unfit := _unfit(kind, choice)) is not None:
        raise _DeviceUnusable(f"the device {device} {unfit}")
    suites = [each for each in CASE_SUITES if each in choice.suites]
    if choice.cases and not suites:
        raise click.ClickException(
            f"--case chooses of the suites {', '.join(CASE_SUITES)}: name that suite too"
        )
    if OASIS in suites and choice.place is None:
        raise click.ClickException(
            f"the suite {OASIS} is read from files that are not part of ukeylab: give their folder "
            "with --oasis PATH, or UKEYLAB_OASIS"
        )
    try:
        shared_out(choice.cases, suites, choice.place)
    except (UnknownCase, OasisError) as error:
        raise click.ClickException(str(error)) from error
    known = [*suite_names(), *CASE_SUITES]
    for suite in choice.suites:
        if suite not in known:
            raise click.ClickException(
                f"there is no suite {suite!r}; there are: {', '.join(known)}"
            )


def _suites_of(device: str, cases: tuple[str, ...]) -> tuple[str, ...]:
    """Return the suites that are run when none is named; none are all scenarios."""
    from ukey_harness.device.claim import DeviceFileError, read_device_file  # noqa: PLC0415

    try:
        if read_device_file(device).kind == "reader":
            return (CARD,)
    except DeviceFileError:
        return ()  # told where the choice is checked
    if not cases:
        return ()
    groups = {each.upper().partition("-")[0] for each in cases}
    card, rest = groups & CARD_GROUPS, groups - CARD_GROUPS
    return (*((CASES,) if rest else ()), *((CARD,) if card else ()))


def _unfit(kind: str, choice: Choice) -> str | None:
    """Return why a kind of device cannot be put to what was chosen; None when it can."""
    if kind == "reader" and choice.suites != (CARD,):
        return f"is a card in a reader: only the suite {CARD} can be put to it"
    if kind not in {"reader", "emulated"} and CARD in choice.suites:
        return f"has no reader: the suite {CARD} wants one named in the device file"
    return None


def _open_once(device: str) -> None:
    """End with a message when the device cannot be used, rather than with a run of nothing."""
    from ukey_harness.device.examiner import DeviceError  # noqa: PLC0415 - not for --help
    from ukey_harness.device.opening import try_out  # noqa: PLC0415 - the same

    try:
        try_out(device)
    except DeviceError as error:
        raise _DeviceUnusable(f"the device {device} cannot be used: {error}") from error


def _run_child(device: str, suites: tuple[str, ...], folder: Path, run: "Run", parts: Path) -> bool:
    """Run pytest on the packaged scenarios and show what it writes down; True if interrupted."""
    environment = {
        **os.environ,
        # Only our plugins: what else is installed must not change a verdict.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "",
        "UKEY_SUITES": " ".join(suites),
        "UKEY_RUN_ID": run.id,
        "UKEY_RUN_SELECTION": "\n".join(run.selection),
    }
    with tempfile.TemporaryDirectory(prefix="ukey-run-") as scratch:
        settings = Path(scratch) / "pytest.ini"
        settings.write_text("[pytest]\n", encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-c", str(settings)]
        command += [
            "-p",
            "pytest_bdd.plugin",
            "-p",
            "ukey_harness.plugin",
            "-p",
            "no:cacheprovider",
        ]
        command += ["--ukey-device", _absolute(device), "--ukey-report", str(folder)]
        command += [str(Path(__file__).parent / "steps" / "scenarios.py")]
        with (folder / "pytest.log").open("wb") as log:
            child = subprocess.Popen(
                command,
                env=environment,
                cwd=scratch,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=False,
            )
            return _follow(child, parts)


def _follow(child: "subprocess.Popen[bytes]", parts: Path) -> bool:
    """Print each scenario as it ends; on Ctrl-C give the child time to end by itself."""
    lines = _Progress(parts)
    try:
        while child.poll() is None:
            lines.show()
            time.sleep(POLL)
    except KeyboardInterrupt:
        click.echo("\ninterrupted; waiting for the device to be left as it should be …", err=True)
        child.send_signal(signal.SIGINT)
        try:
            child.wait(GRACE)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            child.kill()
            child.wait()
        return True
    lines.show()
    return False


class _Progress:
    """Prints what the child has written down since the last time."""

    def __init__(self, parts: Path) -> None:
        self._parts = parts
        self._read = 0
        self._names: dict[str, str] = {}

    def show(self) -> None:
        """Print the scenarios that have ended."""
        try:
            content = (self._parts / "main.jsonl").read_bytes()[self._read :]
        except OSError:
            return
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            event = json.loads(line)
            if event["event"] == "begun":
                scenario = event["scenario"]
                self._names[scenario["id"]] = f"{scenario['feature']}：{scenario['name']}"
            elif event["event"] == "ended":
                name = self._names[event["id"]]
                _show_ended(name, event["verdict"], event["reason"], event["seconds"])


def show_entry(entry: "ScenarioRecord") -> None:
    """Print a conformance case that has ended."""
    _show_ended(entry.name, entry.verdict.value, entry.reason, entry.seconds)


def _show_ended(name: str, verdict: str, reason: str, seconds: float) -> None:
    mark, colour = MARKS.get(verdict, ("✗", "red"))
    click.secho(f"{mark} {name} ({seconds:.1f} s)", fg=colour)
    if verdict in {"unmet", "broken"}:
        click.secho(f"    {verdict}: {reason}", fg="red")


def _absolute(device: str) -> str:
    path = Path(device)
    return str(path.absolute()) if path.is_file() else device


def _show(run: "Run", folder: Path) -> None:
    """Print the verdicts as a table, and why what was not judged was not."""
    from rich.console import Console  # noqa: PLC0415 - not for --help
    from rich.table import Table  # noqa: PLC0415 - the same

    from ukey_harness.verdicts.verdict import Verdict  # noqa: PLC0415 - the same

    console = Console()
    name = run.device.name if run.device else "（没有打开设备）"
    table = Table(
        title=f"{name}：{run.verdict.chinese} ({run.verdict.value})", title_justify="left"
    )
    table.add_column("套件 suite")
    for verdict in Verdict:
        table.add_column(f"{verdict.chinese}\n{verdict.value}", justify="right")
    for suite in sorted({each.suite for each in run.scenarios}):
        verdicts = [each.verdict for each in run.scenarios if each.suite == suite]
        table.add_row(suite, *(str(verdicts.count(verdict) or "·") for verdict in Verdict))
    table.add_section()
    table.add_row("合计 all", *(str(run.counts[verdict.value] or "·") for verdict in Verdict))
    console.print(table)
    reasons: dict[str, int] = {}
    for scenario in run.scenarios:
        if scenario.verdict is Verdict.NOT_APPLICABLE:
            reasons[scenario.reason] = reasons.get(scenario.reason, 0) + 1
    for reason, count in reasons.items():
        console.print(f"  不适用 {count} 个：{reason}", style="dim", highlight=False)
    for sentence in run.device.discrepancies if run.device else ():
        console.print(f"  所称与实测不一致：{sentence}", style="yellow", highlight=False)
    console.print(f"报告 report: {folder / 'report.html'}", highlight=False, soft_wrap=True)

"""`ukey certify`: the scenarios against a device, judged and written down."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ukey_harness.extras import require_world

if TYPE_CHECKING:
    from ukey_harness.verdicts.record import Run

DEFAULT_DEVICE = "emulated"
POLL = 0.2  # seconds
GRACE = 60.0  # seconds that an interrupted run has to leave the device as it should be
INTERRUPTED = 130


@click.command()
@click.option(
    "--device",
    default=DEFAULT_DEVICE,
    show_default=True,
    metavar="FILE",
    help="emulated, softhsm2, or a device file's path.",
)
@click.option(
    "--suite", "suites", multiple=True, metavar="NAME", help="Only this suite; repeatable."
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for record.json, report.html and junit.xml (default: ukey-report/TIME).",
)
def certify(device: str, suites: tuple[str, ...], report: Path | None) -> None:
    """Judge a key by the scenarios and write a report.

    Suites: binding, login, pin, renewal, sealing, story. Exit code 0: nothing was unmet or
    broken; 1: something was, or was never reached; 130: interrupted.
    """
    require_world()
    _check(device, suites)
    folder = (report or Path("ukey-report") / time.strftime("%Y%m%d-%H%M%S")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    run, interrupted = conduct(device, suites, folder)
    _show(run, folder)
    if interrupted:
        raise click.exceptions.Exit(INTERRUPTED)
    raise click.exceptions.Exit(0 if run.verdict.value in {"met", "not_applicable"} else 1)


def conduct(device: str, suites: tuple[str, ...], folder: Path) -> "tuple[Run, bool]":
    """Run the scenarios in a child process; return the record, and whether it was interrupted.

    Whatever becomes of the child, the record is there: it is put together from what the child
    has written down until then.
    """
    from ukey_harness.verdicts.journal import assemble  # noqa: PLC0415 - not for --help
    from ukey_harness.verdicts.session import new_run, parts_of  # noqa: PLC0415 - the same
    from ukey_harness.verdicts.store import load  # noqa: PLC0415 - the same
    from ukey_harness.views.files import RECORD, write_report  # noqa: PLC0415 - the same

    run = new_run()
    run.selection = ["--device", device, *(word for each in suites for word in ("--suite", each))]
    parts = parts_of(folder, run.id)
    (folder / RECORD).unlink(missing_ok=True)
    interrupted = _run_child(device, suites, folder, run, parts)
    if parts.is_dir():  # the child did not live to write the final record
        begun = datetime.fromisoformat(run.started)
        ended = datetime.now(begun.tzinfo)
        run.ended = ended.isoformat(timespec="seconds")
        run.seconds = (ended - begun).total_seconds()
        write_report(assemble(parts, run, "interrupted"), folder)
        shutil.rmtree(parts, ignore_errors=True)
    if not (folder / RECORD).is_file():
        log = (folder / "pytest.log").read_text(encoding="utf-8", errors="replace").strip()
        raise click.ClickException(f"the run did not start; pytest said:\n{log[-2000:]}")
    return load(folder / RECORD), interrupted


def _check(device: str, suites: tuple[str, ...]) -> None:
    """End with a message when the device file or a suite is wrong, before anything starts."""
    from ukey_harness.device.claim import DeviceFileError, read_device_file  # noqa: PLC0415
    from ukey_harness.features_folder import suite_names  # noqa: PLC0415 - not for --help

    try:
        read_device_file(device)
    except DeviceFileError as error:
        raise click.ClickException(str(error)) from error
    known = suite_names()
    for suite in suites:
        if suite not in known:
            raise click.ClickException(
                f"there is no suite {suite!r}; there are: {', '.join(known)}"
            )


def _run_child(
    device: str, suites: tuple[str, ...], folder: Path, run: "Run", parts: Path
) -> bool:
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

    _MARKS = {"met": ("✓", "green"), "not_applicable": ("–", "bright_black")}  # noqa: RUF012

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
                mark, colour = self._MARKS.get(event["verdict"], ("✗", "red"))
                words = f"{mark} {self._names[event['id']]} ({event['seconds']:.1f} s)"
                click.secho(words, fg=colour)
                if event["verdict"] in {"unmet", "broken"}:
                    click.secho(f"    {event['verdict']}: {event['reason']}", fg="red")


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

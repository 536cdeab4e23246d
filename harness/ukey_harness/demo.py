"""`ukey demo`: the whole life of a key, once, on real parts, told step by step."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ukey_harness.extras import require_world

if TYPE_CHECKING:
    from pytest_bdd.parser import Scenario
    from rich.console import Console

    from ukey_harness.steps.grammar import Definition
    from ukey_harness.steps.stage import Stage
    from ukey_harness.verdicts.record import Run, StepRecord
    from ukey_harness.verdicts.recorder import Recorder

STORY = "story/life_of_a_key.feature"
PDFSIG = "pdfsig"
# Each chapter begins with the first such step after the chapter before it.
CHAPTERS = (
    ("柜台给单位办好了一把钥匙", "柜台办证：钥匙、证书和电子印章"),
    ("单位打开网报系统首页", "第一次登录"),
    ("单位用老账号和密码绑定", "绑定老账号"),
    ("单位录入一名参保人员", "录入、提交、生成名册"),
    ("单位用口令给名册签章并上传", "电子签章并上报"),
    ("单位用口令办理延期", "证书延期"),
    ("单位用证书口令登录", "延期之后：不用再绑定"),
    ("名册已经生成", "用延期后的证书再签一份"),
    ("单位把证书口令改成新口令", "修改口令，旧口令作废"),
)


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("ukey-demo"),
    show_default=True,
    help="Folder for the sealed PDFs, the preview and the report.",
)
def demo(out: Path) -> None:
    """Live the whole life of a key: enrol, log in, bind, seal, renew, change the PIN.

    A fresh emulated key, a CA and a portal on loopback; the steps are those of the scenarios.
    """
    require_world()
    from ukey_harness.views.files import (  # noqa: PLC0415 - not for --help
        RECORD,
        FolderError,
        make_folder,
    )

    folder = out.absolute()
    if folder.exists() and any(folder.iterdir()) and not (folder / RECORD).is_file():
        raise click.ClickException(
            f"{folder} is not empty, and not from an earlier demo: choose another with --out"
        )
    try:
        make_folder(folder)
    except FolderError as error:
        raise click.ClickException(f"{error}: choose another with --out") from error
    run = tell(folder)
    raise click.exceptions.Exit(1 if run.verdict.harmful else 0)


def tell(folder: Path) -> "Run":
    """Tell the story, leave its documents in the folder, and return its record."""
    from rich.console import Console  # noqa: PLC0415 - not for --help

    from ukey_harness.device.opening import device_of  # noqa: PLC0415 - the same
    from ukey_harness.steps.stage import Stage  # noqa: PLC0415 - the same
    from ukey_harness.steps.workplace import Desk  # noqa: PLC0415 - the same
    from ukey_harness.steps.worlds import WorldPool  # noqa: PLC0415 - the same
    from ukey_harness.verdicts.journal import Journal, assemble  # noqa: PLC0415 - the same
    from ukey_harness.verdicts.recorder import Recorder  # noqa: PLC0415 - the same
    from ukey_harness.verdicts.session import new_run  # noqa: PLC0415 - the same
    from ukey_harness.views.files import write_report  # noqa: PLC0415 - the same

    console = Console(highlight=False)
    run = new_run()
    run.selection = ["demo"]
    console.print("[bold]一把智能密码钥匙的一生[/]  [dim](ukey demo; for tests only 仅供测试)[/]\n")
    worlds = WorldPool()
    with tempfile.TemporaryDirectory(prefix="ukey-demo-") as scratch:
        parts = Path(scratch) / "parts"
        recorder = Recorder(Journal(parts, "main"))
        state = "interrupted"
        try:
            with Desk(Path(scratch)) as desk, device_of("emulated") as device:
                recorder.witness = device
                for pin in (device.pin, device.so_pin):
                    recorder.blank.add(pin)
                recorder.device(device.record())
                device.fresh()
                stage = Stage(device, desk, worlds, recorder.note)
                try:
                    _live(_story(console), stage, recorder, console)
                    state = "finished"
                finally:
                    _keep(stage, folder)
                    stage.close()
        finally:
            worlds.close()
            assemble(parts, run, "finished" if state == "finished" else "interrupted")
            write_report(run, folder)
    _conclude(run, folder, console)
    return run


def _story(console: "Console") -> "Scenario":
    """Return the story's scenario; without pdfsig, that judge's steps are left out, with a word."""
    from pytest_bdd.parser import FeatureParser  # noqa: PLC0415 - not for --help

    from ukey_harness.features_folder import features_folder  # noqa: PLC0415 - the same
    from ukey_harness.steps.binding import load_definitions  # noqa: PLC0415 - the same

    load_definitions()
    feature = FeatureParser(str(features_folder()), STORY).parse()
    scenario = next(iter(feature.scenarios.values())).render({})
    if shutil.which(PDFSIG) is None:
        scenario.steps = [step for step in scenario.steps if PDFSIG not in step.name]
        console.print("[yellow]pdfsig（poppler-utils）没有安装：由 pyHanko 单独检验签章[/]\n")
    return scenario


def _live(scenario: "Scenario", stage: "Stage", recorder: "Recorder", console: "Console") -> None:
    """Carry the steps out one after the other; stop at the first that is not met."""
    from ukey_harness.steps.grammar import find  # noqa: PLC0415 - not for --help
    from ukey_harness.verdicts.hooks import describe  # noqa: PLC0415 - the same

    recorder.begin(describe(scenario))
    chapters = list(CHAPTERS)
    for step in scenario.steps:
        if chapters and step.name == chapters[0][0]:
            number = len(CHAPTERS) - len(chapters) + 1
            console.print(f"\n[bold]{number}. {chapters.pop(0)[1]}[/]")
        definition = find(step.type, step.name)
        recorder.begin_step()
        failure = _carry_out(definition, step.name, stage)
        _tell_step(recorder.end_step(failure), console)
        if failure is not None:
            break
    recorder.end()


def _carry_out(definition: "Definition | None", words: str, stage: "Stage") -> Exception | None:
    """Carry one step out; return how it failed, None when it did not."""
    if definition is None:
        return LookupError(f"no step definition matches “{words}”")
    try:
        definition.function(stage, **(definition.parser.parse_arguments(words) or {}))
    except Exception as error:  # noqa: BLE001 - every failure becomes a verdict
        return error
    return None


def _tell_step(step: "StepRecord", console: "Console") -> None:
    """Print one step: its words, its verdict, what it left behind."""
    from rich.markup import escape  # noqa: PLC0415 - not for --help

    good = not step.verdict.harmful
    mark = "[green]✓[/]" if good else "[red]✗[/]"
    place = f"[dim]{step.seconds:5.1f} s  {len(step.calls) + step.calls_omitted:>4} calls[/]"
    console.print(f"{mark} {place}  [dim]{step.keyword}[/] {escape(step.text)}")
    for note in step.notes:
        for line in note.splitlines():
            if line.strip():
                console.print(f"                       [dim]{escape(line)}[/]", soft_wrap=True)
    if not good:
        console.print(
            f"    应为：{escape(step.expected)}\n    实为：{escape(step.actual)}", style="red"
        )
        if step.detail:
            console.print(escape(step.detail), style="dim")


def _keep(stage: "Stage", folder: Path) -> None:
    """Copy the sealed rosters and their previews into the folder."""
    for number, sealed in enumerate(stage.memory.get("all_sealed", ()), 1):
        shutil.copyfile(sealed, folder / f"roster-{number}-sealed.pdf")
    for number, picture in enumerate(stage.memory.get("previews", ()), 1):
        (folder / f"roster-{number}-preview.png").write_bytes(picture)


def _conclude(run: "Run", folder: Path, console: "Console") -> None:
    met = not run.verdict.harmful
    words = "全部符合" if met else f"没有全部符合（{run.verdict.chinese}）"
    console.print(
        f"\n[bold {'green' if met else 'red'}]{words}[/]，用时 {run.seconds:.1f} 秒。留下了："
    )
    for file in sorted(folder.iterdir()):
        console.print(f"  {file}", soft_wrap=True)

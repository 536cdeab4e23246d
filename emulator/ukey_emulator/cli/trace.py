"""`ukey trace`."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, Any

import click

from .asking import (
    fail,
    home_option,
    json_option,
    remote_of,
    since_option,
    told,
    until_interrupted,
)


@click.command()
@home_option
@json_option
@since_option
@click.option("--follow", is_flag=True, help="Go on showing calls as they come, until Ctrl-C.")
@click.option(
    "--level",
    type=click.Choice(["calls", "traffic"]),
    help="Switch the rack: traffic tells PINs, keys, data and results; calls leaves them out.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the calls to this file as lines of JSON, for you alone to read.",
)
@click.option("--timing", is_flag=True, help="Print the times in FILE as a profile's table.")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def trace(
    home: Path | None,
    since: int,
    level: str | None,
    out: Path | None,
    file: Path | None,
    *,
    follow: bool,
    timing: bool,
    as_json: bool,
) -> None:
    """Show the calls that reached the keys, or those in FILE, which 'ukey record' has written.

    PINs, keys and data are left out. With --level the rack is switched, and calls are shown only
    with --follow or --out.
    """
    if file is not None:
        if home or since or follow or level or out:
            raise click.UsageError("FILE goes with --json and --timing alone")
        _show_file(file, timing=timing, as_json=as_json)
        return
    if timing:
        raise click.UsageError("--timing needs a FILE that 'ukey record' has written")
    with remote_of(home, as_json=as_json) as remote, until_interrupted(), ExitStack() as closing:
        if level is not None:
            remote.trace_level(level)
            if not follow and out is None:
                click.echo(told({"level": level}) if as_json else f"the trace tells {level}")
                return
        show = _shown(as_json=as_json)
        if out is not None:
            stream = closing.enter_context(_written(out, remote.trace_level(), as_json=as_json))
            show = partial(_write, stream)
        for call in remote.follow_trace(since) if follow else remote.trace(since):
            show(call)


def _shown(*, as_json: bool) -> Callable[[Any], None]:
    return lambda call: click.echo(told(call) if as_json else line(call))


def _write(stream: IO[str], call: Any) -> None:  # noqa: ANN401 - an entry of the trace
    stream.write(f"{told(call)}\n")


def _written(path: Path, level: str, *, as_json: bool) -> IO[str]:
    from ukey_emulator.recording.file import TRACE, begin  # noqa: PLC0415 - loaded only for files

    try:
        return begin(path, TRACE, level=level)
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}", "refused", as_json=as_json)


def _show_file(file: Path, *, timing: bool, as_json: bool) -> None:
    from ukey_emulator.cryptoki.readable import Detail  # noqa: PLC0415 - loaded only for files
    from ukey_emulator.recording.file import (  # noqa: PLC0415
        Recording,
        RecordingError,
        is_trace,
        read_trace,
    )
    from ukey_emulator.recording.timing import as_json as table  # noqa: PLC0415
    from ukey_emulator.recording.timing import as_toml, timings  # noqa: PLC0415

    try:
        if not timing and is_trace(file):
            _show_all(read_trace(file), as_json=as_json)
            return
        recording = Recording.read(file)
        if not timing:
            detail = Detail.ALL if recording.level == "traffic" else Detail.CALLS
            _show_all((call.as_json(detail) for call in recording.calls), as_json=as_json)
            return
        found = timings(recording.calls)
    except RecordingError as error:
        fail(str(error), "refused", as_json=as_json)
    click.echo(told(table(found)) if as_json else as_toml(found), nl=as_json)


def _show_all(calls: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    show = _shown(as_json=as_json)
    for call in calls:
        show(call)


def line(call: dict[str, Any]) -> str:
    """Write a call of a trace as one line."""
    from ukey_emulator.cryptoki import readable  # noqa: PLC0415 - loaded only to show calls

    who = f"{call['program']}[{call['pid']}]" if call["pid"] else call["program"]
    key = f" {call['key']}" if call.get("key") else ""
    fault = f" fault: {call['fault']}" if call.get("fault") else ""
    given = call.get("results")
    results = f" → {', '.join(readable.pieces(given))}" if given else ""
    asked = readable.line(call["function"], call["arguments"])
    return f"{call['n']:>6} {who}{key} {asked} = {call['rv']}{results}{fault} in {call['us']} µs"

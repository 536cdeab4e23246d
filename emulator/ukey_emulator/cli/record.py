"""`ukey record`."""

import os
import sys
from pathlib import Path

import click

from .asking import fail, told


@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--module",
    default=lambda: os.environ.get("PKCS11_MODULE"),
    metavar="VENDOR",
    help="The PKCS#11 module to record.  [default: $PKCS11_MODULE]",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("recording.jsonl"),
    show_default=True,
    help="The file to write; one that is there is replaced.",
)
@click.option(
    "--level",
    type=click.Choice(["calls", "replay", "traffic"]),
    default="replay",
    show_default=True,
    help="calls: no data; replay: all but PINs and keys that are sent; traffic: all.",
)
@click.option("--json", "as_json", is_flag=True, help="Tell in JSON what was recorded.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def record(
    module: str | None, out: Path, level: str, command: tuple[str, ...], *, as_json: bool
) -> None:
    """Run COMMAND and record what it asks a vendor's PKCS#11 module.

    COMMAND finds the recording module as PKCS11_MODULE in its environment; its exit code is ours.
    Write -- before it.
    """
    from ukey_emulator.recording.file import Recording, RecordingError  # noqa: PLC0415 - when asked
    from ukey_emulator.recording.record import run_recorded  # noqa: PLC0415
    from ukey_emulator.run import NotStartedError  # noqa: PLC0415

    if not module:
        raise click.UsageError("--module, or PKCS11_MODULE, must name the module to be recorded")
    try:
        code = run_recorded(command, module, out, level)
        recording = Recording.read(out)
    except NotStartedError as error:
        fail(str(error), "not_started", as_json=as_json, status=error.status)
    except (RecordingError, FileNotFoundError) as error:
        fail(str(error), "refused", as_json=as_json)
    calls, lost = len(recording.calls), recording.lost
    if as_json:
        click.echo(told({"file": str(out), "calls": calls, "lost": lost}), err=True)
    else:
        more = f", and {lost} that could not be written" if lost else ""
        hint = "" if calls else ": COMMAND has to load the module that PKCS11_MODULE names"
        click.echo(f"ukey record: {calls} calls in {out}{more}{hint}", err=True)
    sys.exit(code)

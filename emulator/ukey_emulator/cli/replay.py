"""`ukey replay`, and `ukey run --replay`."""

import sys
from pathlib import Path
from typing import NoReturn

import click

from .asking import fail, told

_MOST_SHOWN = 20  # differences


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--json", "as_json", is_flag=True, help="Tell in JSON what differs.")
@click.argument("recording", metavar="RECORDING", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def replay(recording: Path, command: tuple[str, ...], *, as_json: bool) -> None:
    """Run COMMAND with RECORDING in the place of the device.

    COMMAND finds the module as PKCS11_MODULE in its environment. Its exit code is ours; it is 3
    where a call differs from the recording: what was expected and what came is on standard error.
    Write -- before COMMAND.
    """
    rest = command[1:] if command[0] == "--" else command  # click leaves it behind an argument
    if not rest:
        raise click.UsageError("Missing argument 'COMMAND...'.")
    play(recording, rest, as_json=as_json)


def play(file: Path, command: tuple[str, ...], *, as_json: bool) -> NoReturn:
    """Run a program against a recording, tell of the differences, and exit."""
    from ukey_emulator.rack.home import RackError  # noqa: PLC0415 - loaded only when asked for
    from ukey_emulator.recording.file import Recording, RecordingError  # noqa: PLC0415
    from ukey_emulator.recording.replay import DIFFERS, run_replayed  # noqa: PLC0415
    from ukey_emulator.run import NotStartedError  # noqa: PLC0415

    try:
        code, differences = run_replayed(command, Recording.read(file))
    except NotStartedError as error:
        fail(str(error), "not_started", as_json=as_json, status=error.status)
    except (RecordingError, RackError, FileNotFoundError) as error:
        fail(str(error), "refused", as_json=as_json)
    if as_json:
        click.echo(told({"differences": [each.as_json() for each in differences]}), err=True)
    else:
        for difference in differences[:_MOST_SHOWN]:
            click.echo(f"ukey replay: {difference}", err=True)
        if len(differences) > _MOST_SHOWN:
            click.echo(f"ukey replay: and {len(differences) - _MOST_SHOWN} more", err=True)
    sys.exit(DIFFERS if differences else code)

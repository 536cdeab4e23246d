"""`ukey run`."""

import sys
from pathlib import Path

import click

from .asking import fail, profile_option, refuse_beside
from .replay import play


@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--keys", default=1, show_default=True, type=click.IntRange(0, 1000), help="How many."
)
@profile_option
@click.option("--pcscd", is_flag=True, help="Put the keys into the readers of a real pcscd.")
@click.option(
    "--replay",
    metavar="RECORDING",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Have this recording answer instead of fresh keys, as 'ukey replay' does.",
)
@click.option("--json", "as_json", is_flag=True, help="Tell in JSON why COMMAND was not run.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    keys: int,
    profile: str,
    command: tuple[str, ...],
    *,
    pcscd: bool,
    replay: Path | None,
    as_json: bool,
) -> None:
    """Run COMMAND with a private rack of fresh keys around it.

    COMMAND finds UKEY_HOME, PKCS11_MODULE, PCSCLITE_CSOCK_NAME, UKEY_PIN, UKEY_SO_PIN and
    UKEY_LABEL in its environment; its exit code is ours. Write -- before it.
    """
    from ukey_emulator.rack.home import RackError  # noqa: PLC0415 - loaded only to run a rack
    from ukey_emulator.run import NotStartedError, run_with_keys  # noqa: PLC0415

    if replay is not None:
        refuse_beside("--replay", "it is the recording's", "keys", "profile", "pcscd")
        play(replay, command, as_json=as_json)
    try:
        code = run_with_keys(command, keys, profile, pcscd=pcscd)
    except NotStartedError as error:
        fail(str(error), "not_started", as_json=as_json, status=error.status)
    except RackError as error:
        fail(str(error), error.code, as_json=as_json)
    except FileNotFoundError as error:
        fail(str(error), "refused", as_json=as_json)
    sys.exit(code)

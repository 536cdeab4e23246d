"""How the commands ask a rack: their options, their errors, and how JSON is printed."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import click
from click.core import ParameterSource

from ukey_emulator.home import default_home
from ukey_emulator.remote import Remote, RemoteError

home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="The rack's folder.  [default: $UKEY_HOME, else the XDG state folder]",
)
profile_option = click.option(
    "--profile",
    default="default",
    show_default=True,
    metavar="NAME|FILE",
    help="What the key is like: a profile that ships, or a file that ends in .toml.",
)
since_option = click.option(
    "--since",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    metavar="N",
    help="Only what is numbered after N.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def told(value: object) -> str:
    """Give a result as one line of JSON."""
    return json.dumps(value, ensure_ascii=False)


def fail(message: str, code: str, *, as_json: bool, status: int = 1) -> NoReturn:
    """Tell what went wrong, on standard error, and end with that exit code."""
    if as_json:
        click.echo(told({"error": {"code": code, "message": message}}), err=True)
    else:
        click.echo(f"Error: {message}", err=True)
    sys.exit(status)


def refuse_beside(option: str, because: str, *others: str) -> None:
    """Refuse what was said beside an option that says it already, by the parameters' names."""
    source = click.get_current_context().get_parameter_source
    for other in others:
        if source(other) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--{other} does not go with {option}: {because}")


@contextmanager
def until_interrupted() -> Iterator[None]:
    """End quietly at Ctrl-C, as what follows a stream is meant to be ended."""
    with suppress(KeyboardInterrupt):
        yield


@contextmanager
def remote_of(home: Path | None, *, as_json: bool) -> Iterator[Remote]:
    """Connect to the rack; what it refuses, or that it is gone, is told and ends the command."""
    try:
        with Remote(home or default_home()) as remote:
            yield remote
    except RemoteError as error:
        fail(str(error), error.code, as_json=as_json)

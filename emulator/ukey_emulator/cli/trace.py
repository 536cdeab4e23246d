"""`ukey trace`."""

from pathlib import Path

import click

from ukey_emulator.remote import Call

from .asking import home_option, json_option, remote_of, since_option, told, until_interrupted


@click.command()
@home_option
@json_option
@since_option
@click.option("--follow", is_flag=True, help="Go on showing calls as they come, until Ctrl-C.")
def trace(home: Path | None, since: int, *, follow: bool, as_json: bool) -> None:
    """Show the calls that reached the keys; PINs and data are left out."""
    with remote_of(home, as_json=as_json) as remote, until_interrupted():
        for call in remote.follow_trace(since) if follow else remote.trace(since):
            click.echo(told(call) if as_json else _line(call))


def _line(call: Call) -> str:
    told = ", ".join(f"{name}={value}" for name, value in call["arguments"].items())
    return (
        f"{call['n']:>6} {call['program']}[{call['pid']}] "
        f"{call['function']}({told}) = {call['rv']} in {call['us']} µs"
    )

"""`ukey fault`: what goes wrong, where and when."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ukey_emulator.remote import FaultInfo

from .asking import home_option, json_option, remote_of, told

_WHAT = (
    click.option("--return", metavar="CKR_…", help="Return this and do nothing."),
    click.option("--status", metavar="XXXX", help="Answer the command with this status word."),
    click.option("--pull", metavar="before|after", help="Pull the key out, the work done or not."),
    click.option("--delay", type=float, metavar="SECONDS", help="Take so much longer."),
    click.option("--hang", is_flag=True, help="Hang until 'ukey fault release'."),
    click.option("--power", metavar="off", help="Cut the key's power at this step of its store."),
    click.option("--corrupt", is_flag=True, help="Turn a bit of each output."),
    click.option("--drop", is_flag=True, help="Break the connection."),
    click.option("--logout", is_flag=True, help="Forget the login before."),
    click.option("--memory", is_flag=True, help="Have no memory left."),
)
_WHEN = (
    click.option("--at", type=int, metavar="N", help="Only the Nth time."),
    click.option("--from", type=int, metavar="N", help="From the Nth time…"),
    click.option("--to", type=int, metavar="M", help="…to the Mth; without it until cleared."),
    click.option("--chance", type=float, metavar="P", help="Only with this chance, by the seed."),
    click.option("--seed", type=int, metavar="N", help="The same seed gives the same noise."),
)
_WHERE = (
    click.option("--function", metavar="C_…", help="At this function of PKCS#11."),
    click.option("--apdu", metavar="NAME|INS", help="At this command of the card."),
    click.option("--store", metavar="STEP", help="At this step of the key's store."),
    click.option("--key", metavar="NAME", help="Of this key only."),
    click.option("--mechanism", metavar="CKM_…", help="By this mechanism only."),
    click.option("--pid", type=int, help="For this process only."),
    click.option("--program", metavar="NAME", help="For programs of this name only."),
)


@click.group()
def fault() -> None:
    """Add, list, clear and release faults of the running rack."""


def _with_members(command: Any) -> Any:  # noqa: ANN401 - as click's decorators have it
    for option in reversed((click.option("--name", help="[default: fault-N]"), *_WHERE, *_WHEN)):
        command = option(command)
    for option in reversed(_WHAT):
        command = option(command)
    return command


@fault.command("add")
@home_option
@json_option
@_with_members
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def add_faults(home: Path | None, file: Path | None, *, as_json: bool, **members: object) -> None:
    """Arm a fault that the options tell, or those of a plan: FILE, with tables [[fault]].

    It says where (--function, --apdu or --store), when, and what happens.
    """
    given = {
        member: value
        for member, value in members.items()
        if value is not None and value is not False
    }
    if file is not None and given:
        raise click.UsageError(f"--{next(iter(given))} does not go with FILE: it says all")
    with remote_of(home, as_json=as_json) as remote:
        added = [remote.add_fault(**given)] if file is None else remote.load_faults(file)
        _show(added, as_json=as_json)


@fault.command("list")
@home_option
@json_option
def list_faults(home: Path | None, *, as_json: bool) -> None:
    """List the faults that are armed: how often each was met, and how often it has happened."""
    with remote_of(home, as_json=as_json) as remote:
        _show(remote.faults(), as_json=as_json)


@fault.command("clear")
@home_option
@json_option
@click.argument("name", required=False)
def clear_faults(home: Path | None, name: str | None, *, as_json: bool) -> None:
    """Disarm the fault NAME, or all; what hangs in it goes on."""
    with remote_of(home, as_json=as_json) as remote:
        _show(remote.clear_faults(name), as_json=as_json)


@fault.command("release")
@home_option
@json_option
@click.argument("name", required=False)
def release_calls(home: Path | None, name: str | None, *, as_json: bool) -> None:
    """Let the calls go on that hang in the fault NAME, or in any; it stays armed."""
    with remote_of(home, as_json=as_json) as remote:
        count = remote.release(name)
        click.echo(told({"released": count}) if as_json else f"{count} released")


def _show(faults: list[FaultInfo], *, as_json: bool) -> None:
    if as_json:
        click.echo(told([asdict(info) for info in faults]))
        return
    for info in faults:
        words = " ".join(f"{word}={value}" for word, value in info.members.items())
        hanging = f", {info.waiting} hanging" if info.waiting else ""
        click.echo(f"{words}  met {info.met}, fired {info.fired}{hanging}")

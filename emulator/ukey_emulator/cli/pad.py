"""`ukey pad`: what a script does on the PIN pad of a key, in its holder's place."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from ukey_emulator.remote import PadInfo

from .asking import home_option, json_option, remote_of, told


@click.group()
def pad() -> None:
    """Type on the PIN pad of a key of the running rack, or press its buttons.

    What is typed waits for the call that asks for a PIN, if none does yet.
    """


@pad.command("enter")
@home_option
@json_option
@click.argument("name")
def enter(home: Path | None, name: str, *, as_json: bool) -> None:
    """Type PINs on the pad of the key NAME: each line of standard input is one."""
    if sys.stdin.isatty():
        pins = [click.prompt("PIN", hide_input=True, err=True)]
    else:
        pins = sys.stdin.read().splitlines()
    with remote_of(home, as_json=as_json) as remote:
        shown = remote.pad(name)
        for pin in pins:
            shown = remote.enter_pin(name, pin)
        _show(shown, as_json=as_json)


@pad.command("cancel")
@home_option
@json_option
@click.argument("name")
def cancel(home: Path | None, name: str, *, as_json: bool) -> None:
    """Press cancel on the pad of the key NAME."""
    with remote_of(home, as_json=as_json) as remote:
        _show(remote.press(name, "cancel"), as_json=as_json)


@pad.command("timeout")
@home_option
@json_option
@click.argument("name")
def timeout(home: Path | None, name: str, *, as_json: bool) -> None:
    """Let the time of the pad of the key NAME run out, at once."""
    with remote_of(home, as_json=as_json) as remote:
        _show(remote.press(name, "timeout"), as_json=as_json)


@pad.command("show")
@home_option
@json_option
@click.argument("name")
def show(home: Path | None, name: str, *, as_json: bool) -> None:
    """Tell how much is still to be typed on the pad of the key NAME, and who waits for it."""
    with remote_of(home, as_json=as_json) as remote:
        _show(remote.pad(name), as_json=as_json)


def _show(info: PadInfo, *, as_json: bool) -> None:
    if as_json:
        click.echo(told(asdict(info)))
        return
    state = "a program waits for it" if info.asking else "nobody waits for it"
    click.echo(f"{info.key}  {info.queued} to be typed  {state}")

"""`ukey key`: the keys of a rack, their snapshots, and what became of them."""

from dataclasses import asdict
from pathlib import Path

import click

from ukey_emulator.remote import Event, KeyInfo, SnapshotInfo

from .asking import (
    home_option,
    json_option,
    profile_option,
    refuse_beside,
    remote_of,
    since_option,
    told,
    until_interrupted,
)


@click.group()
def key() -> None:
    """Make, list, plug, unplug, copy, rewind and remove keys of the running rack."""


@key.command("new")
@home_option
@json_option
@click.option("--name", help="What the rack calls it.  [default: key-N]")
@click.option("--label", help="Its token label.  [default: ukey-XXXXXXXX, or the snapshot's]")
@click.option("--from", "snapshot", metavar="SNAP", help="Make it as this snapshot is.")
@click.option("--tries", type=int, help="Tries of each PIN.  [default: the profile's, mostly 10]")
@profile_option
@click.option("--blank", is_flag=True, help="Leave its token uninitialised, without PINs.")
def new_key(
    home: Path | None,
    name: str | None,
    label: str | None,
    tries: int | None,
    profile: str,
    *,
    snapshot: str | None,
    blank: bool,
    as_json: bool,
) -> None:
    """Make a fresh key and plug it in; user PIN 123456, SO PIN 12345678.

    One made from a snapshot has all that this has, PINs too, but a serial number of its own.
    """
    if snapshot is not None:
        refuse_beside("--from", "it is the snapshot's", "tries", "profile", "blank")
    with remote_of(home, as_json=as_json) as remote:
        if snapshot is not None:
            made = remote.new_key_from(snapshot, name=name, label=label)
        else:
            made = remote.new_key(
                name=name, label=label, tries=tries, initialized=not blank, profile=profile
            )
        _show([made], as_json=as_json)


@key.command("list")
@home_option
@json_option
def list_keys(home: Path | None, *, as_json: bool) -> None:
    """List the keys, plugged in or not."""
    with remote_of(home, as_json=as_json) as remote:
        _show(remote.keys(), as_json=as_json)


@key.command("plug")
@home_option
@json_option
@click.option(
    "--slot", type=click.IntRange(0), metavar="N", help="Into slot N.  [default: its own]"
)
@click.argument("name")
def plug_key(home: Path | None, name: str, slot: int | None, *, as_json: bool) -> None:
    """Plug the key NAME in; into another key's slot, it is another token there."""
    with remote_of(home, as_json=as_json) as remote:
        _show([remote.plug(name, slot)], as_json=as_json)


@key.command("unplug")
@home_option
@json_option
@click.argument("name")
def unplug_key(home: Path | None, name: str, *, as_json: bool) -> None:
    """Pull the key NAME out."""
    with remote_of(home, as_json=as_json) as remote:
        _show([remote.unplug(name)], as_json=as_json)


@key.command("reset")
@home_option
@json_option
@click.argument("name")
def reset_key(home: Path | None, name: str, *, as_json: bool) -> None:
    """Have the key NAME be as it left the factory; its serial number stays."""
    with remote_of(home, as_json=as_json) as remote:
        _show([remote.reset(name)], as_json=as_json)


@key.command("snapshot")
@home_option
@json_option
@click.option("--as", "snapshot", metavar="SNAP", help="What to call it.  [default: NAME-N]")
@click.argument("name")
def snapshot_key(home: Path | None, name: str, snapshot: str | None, *, as_json: bool) -> None:
    """Copy the key NAME as it is now; programs that use it notice nothing."""
    with remote_of(home, as_json=as_json) as remote:
        _show_snapshots([remote.snapshot(name, snapshot)], as_json=as_json)


@key.command("rewind")
@home_option
@json_option
@click.argument("name")
@click.argument("snapshot", metavar="[SNAP]", required=False)
def rewind_key(home: Path | None, name: str, snapshot: str | None, *, as_json: bool) -> None:
    """Put the key NAME back into the snapshot SNAP, its own newest if none is given.

    For programs it is a pull and a plug. PINs and their counters are those of the snapshot.
    """
    with remote_of(home, as_json=as_json) as remote:
        _show([remote.rewind(name, snapshot)], as_json=as_json)


@key.command("snapshots")
@home_option
@json_option
@click.option("--remove", metavar="SNAP", multiple=True, help="Delete this one for good.")
def list_snapshots(home: Path | None, remove: tuple[str, ...], *, as_json: bool) -> None:
    """List the snapshots, the oldest first; with --remove those that are left."""
    with remote_of(home, as_json=as_json) as remote:
        for name in remove:
            remote.remove_snapshot(name)
        _show_snapshots(remote.snapshots(), as_json=as_json)


@key.command("remove")
@home_option
@json_option
@click.argument("name")
def remove_key(home: Path | None, name: str, *, as_json: bool) -> None:
    """Delete the key NAME for good, with all that is on it."""
    with remote_of(home, as_json=as_json) as remote:
        remote.remove(name)
        if as_json:
            click.echo(told({"removed": name}))


@key.command("events")
@home_option
@json_option
@since_option
@click.option("--follow", is_flag=True, help="Go on showing events as they come, until Ctrl-C.")
def key_events(home: Path | None, since: int, *, follow: bool, as_json: bool) -> None:
    """Show which keys were added, plugged in, pulled out and removed."""
    with remote_of(home, as_json=as_json) as remote, until_interrupted():
        for event in remote.follow_events(since) if follow else remote.events(since):
            click.echo(told(event) if as_json else _event_line(event))


def _event_line(event: Event) -> str:
    serial = event["serial"] or ""
    return f"{event['n']:>6} {event['event']:<9} {event['key']}  slot {event['slot']}  {serial}"


def _show(keys: list[KeyInfo], *, as_json: bool) -> None:
    if as_json:
        click.echo(told([asdict(info) for info in keys]))
        return
    for info in keys:
        state = "plugged in" if info.plugged else "pulled out"
        click.echo(
            f"{info.name}  slot {info.slot}  {info.serial}  {info.label}  {info.profile}  {state}"
        )


def _show_snapshots(snapshots: list[SnapshotInfo], *, as_json: bool) -> None:
    if as_json:
        click.echo(told([asdict(info) for info in snapshots]))
        return
    for info in snapshots:
        click.echo(f"{info.name}  of {info.key}  {info.serial}  {info.made}")

"""The emulator's commands of `ukey`: run, module, rack, key and trace."""

import json
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import click
from click.core import ParameterSource

from .home import default_home
from .remote import Call, Event, KeyInfo, Remote, RemoteError, SnapshotInfo

_home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="The rack's folder.  [default: $UKEY_HOME, else the XDG state folder]",
)
_profile_option = click.option(
    "--profile",
    default="default",
    show_default=True,
    metavar="NAME|FILE",
    help="What the key is like: a profile that ships, or a file that ends in .toml.",
)
_since_option = click.option(
    "--since",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    metavar="N",
    help="Only what is numbered after N.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@_json_option
def module(*, as_json: bool) -> None:
    """Print the path of the PKCS#11 module."""
    from ukey_emulator import module_path  # noqa: PLC0415 - looked for only when asked

    path = str(module_path())
    click.echo(_json({"module": path}) if as_json else path)


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--keys", default=1, show_default=True, type=click.IntRange(0, 1000), help="How many."
)
@_profile_option
@click.option("--pcscd", is_flag=True, help="Put the keys into the readers of a real pcscd.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(keys: int, profile: str, command: tuple[str, ...], *, pcscd: bool) -> None:
    """Run COMMAND with a private rack of fresh keys around it.

    COMMAND finds UKEY_HOME, PKCS11_MODULE, PCSCLITE_CSOCK_NAME, UKEY_PIN, UKEY_SO_PIN and
    UKEY_LABEL in its environment; its exit code is ours. Write -- before it.
    """
    from .rack.home import RackError  # noqa: PLC0415 - the rack is loaded only to run one
    from .run import run_with_keys  # noqa: PLC0415

    try:
        code = run_with_keys(command, keys, profile, pcscd=pcscd)
    except (RackError, FileNotFoundError) as error:
        raise click.ClickException(str(error)) from error
    sys.exit(code)


@click.command()
@_home_option
def rack(home: Path | None) -> None:
    """Run a rack in the foreground, until Ctrl-C."""
    from .rack.home import RackError  # noqa: PLC0415 - the rack is loaded only to run one
    from .rack.rack import Rack  # noqa: PLC0415
    from .readers.manager import SOCKET_NAME as READERS_SOCKET  # noqa: PLC0415

    logging.basicConfig(format="%(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Rack(home or default_home()) as running:
            click.echo(
                f"rack at {running.path} with {len(running.keys.list())} keys; Ctrl-C ends it"
            )
            click.echo(f"export UKEY_HOME={running.path}")
            click.echo(f"export PCSCLITE_CSOCK_NAME={running.path.absolute() / READERS_SOCKET}")
            stop.wait()
    except RackError as error:
        raise click.ClickException(str(error)) from error


@click.group()
def key() -> None:
    """Make, list, plug, unplug, copy, rewind and remove keys of the running rack."""


@key.command("new")
@_home_option
@_json_option
@click.option("--name", help="What the rack calls it.  [default: key-N]")
@click.option("--label", help="Its token label.  [default: ukey-XXXXXXXX, or the snapshot's]")
@click.option("--from", "snapshot", metavar="SNAP", help="Make it as this snapshot is.")
@click.option("--tries", default=10, show_default=True, help="Tries of each PIN.")
@_profile_option
@click.option("--blank", is_flag=True, help="Leave its token uninitialised, without PINs.")
def new_key(
    home: Path | None,
    name: str | None,
    label: str | None,
    tries: int,
    profile: str,
    *,
    snapshot: str | None,
    blank: bool,
    as_json: bool,
) -> None:
    """Make a fresh key and plug it in; user PIN 123456, SO PIN 12345678.

    One made from a snapshot has all that this has, PINs too, but a serial number of its own.
    """
    given = click.get_current_context().get_parameter_source
    for option in ("tries", "profile", "blank"):
        if snapshot is not None and given(option) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--{option} does not go with --from: it is the snapshot's")
    with _remote(home, as_json=as_json) as remote:
        if snapshot is not None:
            made = remote.new_key_from(snapshot, name=name, label=label)
        else:
            made = remote.new_key(
                name=name, label=label, tries=tries, initialized=not blank, profile=profile
            )
        _show([made], as_json=as_json)


@key.command("list")
@_home_option
@_json_option
def list_keys(home: Path | None, *, as_json: bool) -> None:
    """List the keys, plugged in or not."""
    with _remote(home, as_json=as_json) as remote:
        _show(remote.keys(), as_json=as_json)


@key.command("plug")
@_home_option
@_json_option
@click.option(
    "--slot", type=click.IntRange(0), metavar="N", help="Into slot N.  [default: its own]"
)
@click.argument("name")
def plug_key(home: Path | None, name: str, slot: int | None, *, as_json: bool) -> None:
    """Plug the key NAME in; into another key's slot, it is another token there."""
    with _remote(home, as_json=as_json) as remote:
        _show([remote.plug(name, slot)], as_json=as_json)


@key.command("unplug")
@_home_option
@_json_option
@click.argument("name")
def unplug_key(home: Path | None, name: str, *, as_json: bool) -> None:
    """Pull the key NAME out."""
    with _remote(home, as_json=as_json) as remote:
        _show([remote.unplug(name)], as_json=as_json)


@key.command("reset")
@_home_option
@_json_option
@click.argument("name")
def reset_key(home: Path | None, name: str, *, as_json: bool) -> None:
    """Have the key NAME be as it left the factory; its serial number stays."""
    with _remote(home, as_json=as_json) as remote:
        _show([remote.reset(name)], as_json=as_json)


@key.command("snapshot")
@_home_option
@_json_option
@click.option("--as", "snapshot", metavar="SNAP", help="What to call it.  [default: NAME-N]")
@click.argument("name")
def snapshot_key(home: Path | None, name: str, snapshot: str | None, *, as_json: bool) -> None:
    """Copy the key NAME as it is now; programs that use it notice nothing."""
    with _remote(home, as_json=as_json) as remote:
        _show_snapshots([remote.snapshot(name, snapshot)], as_json=as_json)


@key.command("rewind")
@_home_option
@_json_option
@click.argument("name")
@click.argument("snapshot", metavar="[SNAP]", required=False)
def rewind_key(home: Path | None, name: str, snapshot: str | None, *, as_json: bool) -> None:
    """Put the key NAME back into the snapshot SNAP, its own newest if none is given.

    For programs it is a pull and a plug. PINs and their counters are those of the snapshot.
    """
    with _remote(home, as_json=as_json) as remote:
        _show([remote.rewind(name, snapshot)], as_json=as_json)


@key.command("snapshots")
@_home_option
@_json_option
@click.option("--remove", metavar="SNAP", multiple=True, help="Delete this one for good.")
def list_snapshots(home: Path | None, remove: tuple[str, ...], *, as_json: bool) -> None:
    """List the snapshots, the oldest first; with --remove those that are left."""
    with _remote(home, as_json=as_json) as remote:
        for name in remove:
            remote.remove_snapshot(name)
        _show_snapshots(remote.snapshots(), as_json=as_json)


@key.command("remove")
@_home_option
@_json_option
@click.argument("name")
def remove_key(home: Path | None, name: str, *, as_json: bool) -> None:
    """Delete the key NAME for good, with all that is on it."""
    with _remote(home, as_json=as_json) as remote:
        remote.remove(name)
        if as_json:
            click.echo(_json({"removed": name}))


@key.command("events")
@_home_option
@_json_option
@_since_option
@click.option("--follow", is_flag=True, help="Go on showing events as they come, until Ctrl-C.")
def key_events(home: Path | None, since: int, *, follow: bool, as_json: bool) -> None:
    """Show which keys were added, plugged in, pulled out and removed."""
    with _remote(home, as_json=as_json) as remote, _until_interrupted():
        for event in remote.follow_events(since) if follow else remote.events(since):
            click.echo(_json(event) if as_json else _event_line(event))


@click.command()
@_home_option
@_json_option
@_since_option
@click.option("--follow", is_flag=True, help="Go on showing calls as they come, until Ctrl-C.")
def trace(home: Path | None, since: int, *, follow: bool, as_json: bool) -> None:
    """Show the calls that reached the keys; PINs and data are left out."""
    with _remote(home, as_json=as_json) as remote, _until_interrupted():
        for call in remote.follow_trace(since) if follow else remote.trace(since):
            click.echo(_json(call) if as_json else _line(call))


@contextmanager
def _until_interrupted() -> Iterator[None]:
    with suppress(KeyboardInterrupt):
        yield


def _line(call: Call) -> str:
    told = ", ".join(f"{name}={value}" for name, value in call["arguments"].items())
    return (
        f"{call['n']:>6} {call['program']}[{call['pid']}] "
        f"{call['function']}({told}) = {call['rv']} in {call['us']} µs"
    )


def _event_line(event: Event) -> str:
    serial = event["serial"] or ""
    return f"{event['n']:>6} {event['event']:<9} {event['key']}  slot {event['slot']}  {serial}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _show(keys: list[KeyInfo], *, as_json: bool) -> None:
    if as_json:
        click.echo(_json([asdict(info) for info in keys]))
        return
    for info in keys:
        state = "plugged in" if info.plugged else "pulled out"
        click.echo(f"{info.name}  slot {info.slot}  {info.serial}  {info.label}  {state}")


def _show_snapshots(snapshots: list[SnapshotInfo], *, as_json: bool) -> None:
    if as_json:
        click.echo(_json([asdict(info) for info in snapshots]))
        return
    for info in snapshots:
        click.echo(f"{info.name}  of {info.key}  {info.serial}  {info.made}")


@contextmanager
def _remote(home: Path | None, *, as_json: bool) -> Iterator[Remote]:
    """Connect to the rack; an error is told in JSON, on standard error, to who asked for JSON."""
    try:
        with Remote(home or default_home()) as remote:
            yield remote
    except RemoteError as error:
        if not as_json:
            raise click.ClickException(str(error)) from error
        click.echo(_json({"error": {"code": error.code, "message": str(error)}}), err=True)
        sys.exit(1)

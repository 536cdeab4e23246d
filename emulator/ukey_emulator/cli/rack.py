"""`ukey rack`."""

import logging
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ukey_emulator.home import default_home
from ukey_emulator.remote import Remote, RemoteError

from .asking import fail, home_option, json_option, told

if TYPE_CHECKING:
    from ukey_emulator.rack.rack import Rack


@click.command()
@home_option
@json_option
@click.option("--watch", is_flag=True, help="Show it live in the terminal: q ends it.")
def rack(home: Path | None, *, watch: bool, as_json: bool) -> None:
    """Run a rack in the foreground, until Ctrl-C.

    With --watch, where a rack runs already that one is shown, and goes on when you quit.
    """
    if watch and as_json:
        raise click.UsageError("--watch does not go with --json: see 'ukey key list', 'ukey trace'")
    home = home or default_home()
    if watch and _watch_other(home):
        return
    _run(home, watch=watch, as_json=as_json)


def _watch_other(home: Path) -> bool:
    """Watch the rack that runs in a folder already; false if there is none."""
    from .watch import watch  # noqa: PLC0415 - rich is slow to load

    try:
        with Remote(home) as remote:
            watch(remote)
    except RemoteError:
        return False
    return True


def _run(home: Path, *, watch: bool, as_json: bool) -> None:
    from ukey_emulator.rack.home import RackError  # noqa: PLC0415 - loaded only to run a rack
    from ukey_emulator.rack.rack import Rack  # noqa: PLC0415

    if not watch:
        logging.basicConfig(format="%(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Rack(home) as running:
            if watch:
                _watch(running)
            else:
                _tell(running, as_json=as_json)
                stop.wait()
    except RackError as error:
        fail(str(error), error.code, as_json=as_json)


def _watch(running: "Rack") -> None:
    from .watch import Complaints, watch  # noqa: PLC0415 - rich is slow to load

    complaints = Complaints()
    logging.basicConfig(handlers=[complaints])
    with Remote(running.path) as remote:
        watch(remote, complaints)


def _tell(running: "Rack", *, as_json: bool) -> None:
    from ukey_emulator.readers.manager import SOCKET_NAME as READERS_SOCKET  # noqa: PLC0415

    keys = len(running.keys.list())
    environment = {
        "UKEY_HOME": str(running.path),
        "PCSCLITE_CSOCK_NAME": str(running.path.absolute() / READERS_SOCKET),
    }
    if as_json:
        click.echo(told({"keys": keys, "environment": environment}))
    else:
        click.echo(f"rack at {running.path} with {keys} keys; Ctrl-C ends it")
        for name, value in environment.items():
            click.echo(f"export {name}={value}")

"""`ukey rack`."""

import logging
import signal
import threading
from pathlib import Path

import click

from ukey_emulator.home import default_home

from .asking import fail, home_option, json_option, told


@click.command()
@home_option
@json_option
def rack(home: Path | None, *, as_json: bool) -> None:
    """Run a rack in the foreground, until Ctrl-C."""
    from ukey_emulator.rack.home import RackError  # noqa: PLC0415 - loaded only to run a rack
    from ukey_emulator.rack.rack import Rack  # noqa: PLC0415
    from ukey_emulator.readers.manager import SOCKET_NAME as READERS_SOCKET  # noqa: PLC0415

    logging.basicConfig(format="%(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Rack(home or default_home()) as running:
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
            stop.wait()
    except RackError as error:
        fail(str(error), error.code, as_json=as_json)

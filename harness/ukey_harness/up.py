"""`ukey up`: a rack with a key, the CA and the portal, in the foreground."""

import os
import shlex
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ukey_harness.extras import require_world

if TYPE_CHECKING:
    from ukey_emulator.remote import RackProcess
    from ukey_harness.world import World

PASSWORD = "Laozhanghao-2024"  # noqa: S105 - the made-up old account of a made-up unit
USER_PIN = "123456"


def default_home() -> Path:
    """Return $UKEY_HOME, by default the folder `ukeylab` in the XDG state folder."""
    if home := os.environ.get("UKEY_HOME"):
        return Path(home)
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "ukeylab"


@click.command()
@click.option("--home", type=click.Path(path_type=Path), help="State folder (default: UKEY_HOME).")
@click.option("--empty", is_flag=True, help="Do not put a provisioned key into an empty rack.")
def up(home: Path | None, *, empty: bool) -> None:
    """Run a rack, the CA and the portal in the foreground until Ctrl-C.

    An empty rack gets one key, with a certificate and the seal of a made-up unit whose account
    the portal knows: `ukey login`, `ukey bind` and `ukey seal` then work at once.
    """
    require_world()
    folder = (home or default_home()).absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as closing:
        rack, world = _start(closing, folder)
        _greet(rack, world, empty=empty)
        _wait()
        click.echo("\nstopping …")


def _start(closing: ExitStack, folder: Path) -> "tuple[RackProcess, World]":
    from ukey_emulator.remote import RackProcess, RemoteError  # noqa: PLC0415 - heavy
    from ukey_harness.world import World  # noqa: PLC0415 - needs the extra `world`
    from ukey_harness.world.errors import WorldError  # noqa: PLC0415 - the same

    try:
        rack = closing.enter_context(RackProcess.start(folder))
        world = closing.enter_context(World.start(folder))
    except (RemoteError, WorldError) as error:
        raise click.ClickException(str(error)) from error
    return rack, world


def _greet(rack: "RackProcess", world: "World", *, empty: bool) -> None:
    """Print where everything is, in lines that a shell can take."""
    from ukey_emulator import module_path  # noqa: PLC0415 - heavy

    module = str(module_path())
    with rack.remote() as remote:
        keys = remote.keys()
        account = ""
        if not keys and not empty:
            account = _provision(rack, world, module)
            keys = remote.keys()
    click.echo("ukeylab: for tests only, nobody trusts this CA（仅供测试）\n")
    for name, address in world.addresses().items():
        click.echo(f"  {name:<17} {address}")
    for key in keys:
        state = "plugged in" if key.plugged else "taken out"
        click.echo(f"  {'key':<17} {key.label} (serial {key.serial}, {state})")
    if account:
        click.echo(f"  {'old account':<17} {account}")
    click.echo("\nIn another shell:\n")
    exports = {
        "UKEY_HOME": str(rack.home),
        "PKCS11_MODULE": module,
        "PCSCLITE_CSOCK_NAME": str(rack.readers_socket),
        "UKEY_PORTAL": world.portal_url,
        "UKEY_CA": world.ca_url,
    }
    for variable, value in exports.items():
        click.echo(f"export {variable}={shlex.quote(value)}")
    click.echo(f"\nA fresh key's PIN is {USER_PIN}. Ctrl-C stops everything.")


def _provision(rack: "RackProcess", world: "World", module: str) -> str:
    """Put one provisioned key into the rack; return the unit's old account in words."""
    from ukey_harness.world.units import Unit  # noqa: PLC0415 - needs the extra `world`

    unit = Unit.example(0)
    with rack.remote() as remote:
        key = remote.new_key(pin=USER_PIN)
    # The module finds its rack by this variable; this process uses no other rack.
    os.environ["UKEY_HOME"] = str(rack.home)
    world.counter.provision(module, token_label=key.label, pin=USER_PIN, unit=unit)
    user = f"dw{unit.number}"
    world.add_account(user, PASSWORD, unit)
    return f"user {user}, password {PASSWORD} ({unit.name})"


def _wait() -> None:
    """Return on Ctrl-C or SIGTERM."""
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    over.wait()

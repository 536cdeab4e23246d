"""`ukey`: one command that joins the emulator's, the holder's and the lab's commands.

Nothing heavy is imported before a command is chosen: the table below names where each command
stands and what `ukey --help` says of it.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import NoReturn

import click

EMULATOR = "The key"
HOLDER = "The certificate holder (证书持有人)"
LAB = "The lab"

DEBUG_VARIABLE = "UKEY_DEBUG"
MODULE_VARIABLE = "PKCS11_MODULE"
INTERRUPTED = 130


@dataclass(frozen=True)
class Place:
    """Where a command stands, under its own name, and its section and line in the help."""

    module: str
    section: str
    help: str


def _emulator(name: str, text: str) -> Place:
    return Place(f"ukey_emulator.cli.{name}", EMULATOR, text)


def _holder(text: str) -> Place:
    return Place("ukey_client.cli", HOLDER, text)


def _lab(name: str, text: str) -> Place:
    return Place(f"ukey_harness.{name}", LAB, text)


COMMANDS: dict[str, Place] = {
    "run": _emulator("run", "Run a program with a private rack of fresh keys."),
    "module": _emulator("module", "Print the path of the PKCS#11 module."),
    "rack": _emulator("rack", "Run a rack of keys in the foreground."),
    "key": _emulator("key", "Make, list, plug, unplug and copy keys of the running rack."),
    "profile": _emulator("profile", "What keys can be like; capture a real one."),
    "pad": _emulator("pad", "Type on the PIN pad of a key, in its holder's place."),
    "fault": _emulator("fault", "Have keys fail on command: a return value, a pull, a hang…"),
    "trace": _emulator("trace", "Show the calls that reached the keys."),
    "record": _emulator("record", "Record what a program asks a vendor's PKCS#11 module."),
    "replay": _emulator("replay", "Run a program with a recording in the device's place."),
    "certs": _holder("我的证书: list the certificates on the key."),
    "login": _holder("登录: log in to the portal with the key."),
    "bind": _holder("CA用户绑定: bind the certificate to the unit's account."),
    "seal": _holder("电子签章: seal a PDF, hand a roster in."),
    "renew": _holder("延期: renew the certificate on the key."),
    "pin": _holder("密码修改: change the key's PIN."),
    "demo": _lab("demo", "The whole life of a key, once, on real parts."),
    "up": _lab("up", "Run a rack, the CA and the portal in the foreground."),
    "certify": _lab("certify", "Judge a key by the scenarios and write a report."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, not when they are listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name; None when there is none."""
        del ctx
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        if place.section == HOLDER:
            offer_own_module()
        command = getattr(import_module(place.module), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place.module}:{cmd_name} is no click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, without importing one of them."""
        del ctx
        for section in (EMULATOR, HOLDER, LAB):
            rows = [
                (name, place.help) for name, place in COMMANDS.items() if place.section == section
            ]
            with formatter.section(section):
                formatter.write_dl(rows)


def offer_own_module() -> None:
    """Make our module the default of the holder's `--module`, unless PKCS11_MODULE names one.

    The client must not know the emulator, so the default is handed in from here.
    """
    if os.environ.get(MODULE_VARIABLE):
        return
    from ukey_emulator import module_path  # noqa: PLC0415 - only the holder's commands need it

    os.environ[MODULE_VARIABLE] = str(module_path())


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's shape
    del param
    if not value or ctx.resilient_parsing:
        return
    from ukey_harness.verdicts.tool import tool_version  # noqa: PLC0415 - reads the metadata

    click.echo(f"ukeylab {tool_version()}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    name="ukey",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A software USB key (智能密码钥匙), its holder's client, and the lab that judges keys.\n\n"
    "A test tool: do not keep real secrets in it.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="Show the version and exit.",
)
def ukey() -> None:
    """Join the commands."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `ukey` and exit; every failure is one message, never a traceback.

    UKEY_DEBUG=1 shows the traceback of what no command has foreseen.
    """
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run `ukey` with the arguments (default: the process's) and return the exit code."""
    try:
        result = ukey.main(args=arguments, prog_name="ukey", standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nukey: interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone (`ukey certs | head`); closing stdout again would complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        message = " ".join(str(getattr(error, "message", None) or error).split())
        click.echo(f"ukey: {message or type(error).__name__}", err=True)
        click.echo(f"(set {DEBUG_VARIABLE}=1 for the traceback)", err=True)
        code = getattr(error, "exit_code", 1)
        return code if isinstance(code, int) and code else 1
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    main()

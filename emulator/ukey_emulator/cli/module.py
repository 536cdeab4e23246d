"""`ukey module`."""

import click

from .asking import json_option, told


@click.command()
@json_option
def module(*, as_json: bool) -> None:
    """Print the path of the PKCS#11 module."""
    from ukey_emulator import module_path  # noqa: PLC0415 - looked for only when asked

    path = str(module_path())
    click.echo(told({"module": path}) if as_json else path)

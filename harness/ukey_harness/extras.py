"""What of the optional parts is installed, said before anything is started."""

import ctypes
import sys
from importlib.util import find_spec

import click

WORLD = {
    "certomancer": "certomancer",
    "multipart": "python-multipart",
    "pypdfium2": "pypdfium2",
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "weasyprint": "weasyprint",
}


def require_pcsc() -> None:
    """End with a message unless the extra `pcsc` (pyscard) is installed, and what it stands on."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libpcsclite.so.1")  # pyscard itself prints that it lacks, and goes on
        except OSError as error:
            raise click.ClickException(
                "the cases of a card need libpcsclite: install it "
                "(Debian, Ubuntu: apt-get install libpcsclite1)"
            ) from error
    if find_spec("smartcard") is None:
        raise click.ClickException(
            "the cases of a card need pyscard: pip install 'ukeylab[pcsc]' (it is built from its "
            "source, with gcc, swig and libpcsclite-dev)"
        )


def require_world() -> None:
    """End with a message unless the extra `world` (CA and portal) is installed."""
    absent = sorted(package for module, package in WORLD.items() if find_spec(module) is None)
    if absent:
        raise click.ClickException(
            f"the CA and the portal need {', '.join(absent)}: pip install 'ukeylab[world]'"
        )

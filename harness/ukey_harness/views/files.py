"""Writes the views of a record beside it."""

from pathlib import Path

from ukey_harness.verdicts.record import Run
from ukey_harness.verdicts.session import RECORD
from ukey_harness.verdicts.store import save, write_text
from ukey_harness.views.junit import junit
from ukey_harness.views.page import html

__all__ = ["JUNIT", "PAGE", "RECORD", "FolderError", "make_folder", "write_report"]

PAGE = "report.html"
JUNIT = "junit.xml"


class FolderError(Exception):
    """A folder cannot be made; the message says which and why."""


def make_folder(folder: Path) -> None:
    """Make a folder, with those above it, unless it is there; FolderError when it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(f"the folder {folder} cannot be made ({error.strerror})") from error


def write_report(run: Run, folder: Path) -> None:
    """Write record.json, report.html and junit.xml into the folder, each whole or not at all."""
    save(run, folder / RECORD)
    write_text(folder / PAGE, html(run))
    write_text(folder / JUNIT, junit(run))

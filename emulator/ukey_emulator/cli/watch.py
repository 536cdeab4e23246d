"""`ukey rack --watch`: the rack live in the terminal, or in lines where there is no terminal."""

import contextlib
import logging
import os
import select
import signal
import sys
import termios
import time
import tty
from collections import deque
from collections.abc import Callable, Iterator

import click
from rich.console import Console
from rich.live import Live

from ukey_emulator.remote import Remote, RemoteError

from .screen import View, fault_line, headline, screen, slot_line

_TICK = 0.5  # seconds between looks
_SHOWN_CALLS = 30
_SHOWN_LOG = 4


class Complaints(logging.Handler):
    """Keeps the last complaints of a rack in this process, which would spoil the screen."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=_SHOWN_LOG)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what has been logged."""
        self.lines.append(f"{record.levelname} {record.getMessage()}")


class Watch:
    """Looks at a rack again and again."""

    def __init__(self, remote: Remote, complaints: Complaints | None = None) -> None:
        self._remote = remote
        self._log = complaints.lines if complaints else deque[str]()
        self._calls = 0
        self._looked = 0.0

    def look(self) -> View:
        """Ask the rack how it is; RemoteError once it is gone."""
        status = self._remote.status()
        now, calls = time.monotonic(), status["calls"]
        rate = (calls - self._calls) / (now - self._looked) if self._looked else 0.0
        self._calls, self._looked = calls, now
        last = self._remote.trace(max(0, calls - _SHOWN_CALLS), _SHOWN_CALLS)
        return View(status, rate, last, self._remote.faults(), tuple(self._log))


def watch(remote: Remote, complaints: Complaints | None = None) -> None:
    """Show a rack until q, Ctrl-C, SIGTERM or its end; in lines where stdout is no terminal."""
    watching = Watch(remote, complaints)
    with _ended_by_signals():
        if sys.stdout.isatty():
            _on_screen(watching)
        else:
            _in_lines(watching)


def _on_screen(watching: Watch) -> None:
    console = Console()
    gone = ""
    with _keys() as key, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                view = watching.look()
            except RemoteError as error:
                gone = _told(error)
                break
            live.update(screen(view, console.height), refresh=True)
            if key() == "q":
                break
    if gone:
        click.echo(gone)


def _in_lines(watching: Watch) -> None:
    """Print how the slots are, then what changes of them, line by line."""
    known: set[str] = set()
    first = True
    while True:
        try:
            view = watching.look()
        except RemoteError as error:
            click.echo(_told(error))
            return
        if first:
            click.echo(headline(view).plain)
            first = False
        lines = [slot_line(slot) for slot in view.status["slots"]]
        lines += [fault_line(fault).plain for fault in view.faults]
        for line in lines:
            if line not in known:
                click.echo(line)
        sys.stdout.flush()
        known = set(lines)
        time.sleep(_TICK)


def _told(error: RemoteError) -> str:
    return "the rack has gone" if error.code == "gone" else str(error)


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """Give what waits a moment for a key to be pressed and tells which, "" for none.

    The terminal gives keys at once meanwhile and does not show them.
    """
    if not sys.stdin.isatty():
        yield _pause
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def key() -> str:
        ready, _, _ = select.select([descriptor], [], [], _TICK)
        return os.read(descriptor, 1).decode("ascii", "replace") if ready else ""

    tty.setcbreak(descriptor)
    try:
        yield key
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _pause() -> str:
    time.sleep(_TICK)
    return ""


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End quietly at Ctrl-C and at SIGTERM, with the terminal as it was."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)

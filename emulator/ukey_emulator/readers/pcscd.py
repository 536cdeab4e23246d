"""A real pcscd of one's own: no root, no fixed port, none of what the machine's pcscd has."""

import contextlib
import glob
import os
import re
import shutil
import signal
import socket
import string
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

_SLOTS = 2  # readers that vpcd makes of one entry, as Debian builds it
_DRIVERS = "/usr/lib*/pcsc/drivers/serial/libifdvpcd.so"
_SBIN = ("/usr/sbin", "/sbin", "/usr/local/sbin")  # not on every user's PATH
_RUN = Path("/run/pcscd")  # compiled into pcscd, which ends where this is not

_STARTING = 10.0  # seconds
_ENDING = 5.0
_NOTED = 2000  # characters of its log, in an error
_TRIES = 100  # to find ports in a row

_ENTRY = """FRIENDLYNAME "ukeylab-{number}"
DEVICENAME /dev/null:{port:#x}
LIBPATH {driver}
CHANNELID {port:#x}
"""

# Becomes pcscd as systemd starts it, the listening socket descriptor 3 (sd_listen_fds(3)), and not
# as root, since vpcd listens to the network. Where there is no changing the user, or nobody could
# not read the configuration, it stays who it is. It ends with the thread that has started it.
_BECOME = """
configuration=$1
shift
exec 3<&0 </dev/null
export LISTEN_FDS=1 LISTEN_PID=$$
nobody='--reuid 65534 --regid 65534 --clear-groups'
setpriv $nobody test -r "$configuration" 2>/dev/null || nobody=
exec setpriv $nobody --no-new-privs --pdeathsig TERM -- "$@"
"""

_VERSION = struct.Struct("=2I2iI")  # the header, the version that is asked for, the result
_VERSION_COMMAND = 0x11
_VERSION_BODY = 12


class PcscdError(Exception):
    """There is no pcscd to be had; the message says why and what to install."""


class Pcscd:
    """A pcscd with vpcd's readers alone, from `start` to `stop` or as a context manager.

    `socket` is for PCSCLITE_CSOCK_NAME, and only for this user; `ports` are those of vpcd, reader
    after reader, as many as wanted or one more. These are open to the network and belong to the
    first who connects: whoever puts a card in has to see that it is at work there.
    """

    def __init__(self, readers: int) -> None:
        self._entries = -(-readers // _SLOTS)
        self._process: subprocess.Popen[bytes] | None = None
        self._left = contextlib.ExitStack()

    def start(self) -> None:
        """Start it and wait until it answers; PcscdError if it cannot be or does not."""
        program, driver = _installed()
        most = _most_readers(program)
        if self._entries * _SLOTS > most:
            raise PcscdError(f"this pcscd has no more than {most} readers")
        with contextlib.ExitStack() as made:
            folder = Path(made.enter_context(tempfile.TemporaryDirectory(prefix="ukey-pcscd-")))
            self.socket = folder / "pcscd.comm"
            self._log = folder / "log"
            self._command = _command(program, folder)
            self._configuration = self._configure(folder, driver, made)
            made.callback(self._end, signal.SIGTERM)
            self._begin()
            self._left = made.pop_all()

    def stop(self) -> None:
        """End it; nothing is left of it."""
        self._left.close()

    def restart(self) -> None:
        """Kill it, as a crash would, and start it again in its place; PcscdError as `start`."""
        self._end(signal.SIGKILL)
        self._begin()

    def log(self) -> str:
        """Give what it has said last, in one line."""
        with contextlib.suppress(OSError):
            said = self._log.read_text(errors="replace")
            return " / ".join(said[-_NOTED:].splitlines()) or "nothing"
        return "nothing"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _configure(self, folder: Path, driver: Path, made: contextlib.ExitStack) -> Path:
        """Write what readers there are: each entry with ports and a copy of the driver of its own.

        Entries that share a driver's file share its readers too, unseen.
        """
        entries = []
        self.ports: list[int] = []
        for number in range(1, self._entries + 1):
            ports = made.enter_context(_kept_free())
            self.ports += ports
            copy = folder / f"vpcd-{number}.so"
            shutil.copyfile(driver, copy)
            copy.chmod(0o644)
            entries.append(_ENTRY.format(number=number, port=ports[0], driver=copy))
        configuration = folder / "reader.conf.d" / "ukeylab"
        configuration.parent.mkdir()
        configuration.write_text("\n".join(entries))
        configuration.chmod(0o644)
        for path in (folder, configuration.parent):
            path.chmod(0o755)
        return configuration

    def _begin(self) -> None:
        self.socket.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener, self._log.open("wb") as log:
            try:
                os.fchmod(listener.fileno(), 0o600)
                listener.bind(os.fspath(self.socket))
                listener.listen(128)
            except OSError as fault:
                raise PcscdError(f"pcscd cannot listen on {self.socket}: {fault}") from fault
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _BECOME, "sh", self._configuration, *self._command],
                stdin=listener.fileno(),
                stdout=log,
                stderr=log,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the program that uses it
            )
        if not self._answers():
            raise PcscdError(f"pcscd does not start; it says: {self.log()}")

    def _answers(self) -> bool:
        """Exchange versions, as each program does: pcscd answers when its readers are there."""
        asked = _VERSION.pack(_VERSION_BODY, _VERSION_COMMAND, 4, 4, 0)
        with socket.socket(socket.AF_UNIX) as program, contextlib.suppress(OSError):
            program.settimeout(_STARTING)
            program.connect(os.fspath(self.socket))
            program.sendall(asked)
            return len(program.recv(_VERSION_BODY)) == _VERSION_BODY
        return False

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for sent in (number, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sent)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_ENDING)
                return


def _installed() -> tuple[str, Path]:
    """Find pcscd and the driver, and see to the folder that pcscd must have."""
    program = shutil.which("pcscd", path=os.pathsep.join((os.environ.get("PATH", ""), *_SBIN)))
    if program is None:
        raise PcscdError("there is no pcscd here: install the Debian package pcscd")
    driver = next(iter(sorted(glob.glob(_DRIVERS))), None)  # noqa: PTH207 - absolute patterns
    if driver is None:
        raise PcscdError("pcscd has no vpcd here: install the Debian package vsmartcard-vpcd")
    try:
        _RUN.mkdir(mode=0o755, exist_ok=True)
    except OSError as fault:
        raise PcscdError(
            f"pcscd needs the folder {_RUN}, which only root can make: 'mkdir {_RUN}', or start "
            "the service of the Debian package pcscd"
        ) from fault
    return program, Path(driver)


def _most_readers(program: str) -> int:
    told = re.search(r"MAX_READERS_CONTEXTS: (\d+)", _told(program, "--version"))
    return int(told[1]) if told else sys.maxsize  # since 2.5 there is no limit


def _command(program: str, folder: Path) -> list[str]:
    command = [program, "--foreground", "--config", os.fspath(folder / "reader.conf.d")]
    if "--disable-polkit" in _told(program, "--help"):
        command.append("--disable-polkit")  # its socket is for this user alone as it is
    return command


def _told(program: str, question: str) -> str:
    try:
        return subprocess.run(
            [program, question], capture_output=True, text=True, check=False, timeout=_STARTING
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise PcscdError(f"{program} tells nothing of itself: {fault}") from fault


def _environment() -> dict[str, str]:
    """Give pcscd's environment, in which it sees no readers but ours.

    Real ones are the machine's, and two pcscd would fight for them. It leaves out each reader that
    has one of these letters in its name: ours has small ones.
    """
    return {
        **os.environ,
        "PATH": os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/bin", "/bin")),
        "PCSCLITE_FILTER_IGNORE_READER_NAMES": ":".join(string.ascii_uppercase),
        "PCSCLITE_FILTER_EXTEND_READER_NAMES": "",
    }


@contextlib.contextmanager
def _kept_free() -> Iterator[list[int]]:
    """Give free ports in a row, for vpcd alone: nobody else is given them meanwhile.

    A socket that is bound to a port, and does not listen, is in nobody's way who sets SO_REUSEADDR,
    as vpcd does. Set only afterwards, it lets the port be found free by no one.
    """
    with contextlib.ExitStack() as kept:
        for _ in range(_TRIES):
            with contextlib.ExitStack() as tried:
                sockets = [tried.enter_context(socket.socket()) for _ in range(_SLOTS)]
                try:
                    sockets[0].bind(("", 0))
                    first = sockets[0].getsockname()[1]
                    for number, other in enumerate(sockets[1:], first + 1):
                        other.bind(("", number))
                except (OSError, OverflowError):
                    continue
                for each in sockets:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                kept.enter_context(tried.pop_all())
                break
        else:
            raise PcscdError("no ports are free for the readers of pcscd")
        yield list(range(first, first + _SLOTS))

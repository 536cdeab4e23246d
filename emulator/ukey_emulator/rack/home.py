"""A socket of the rack in its folder."""

import contextlib
import fcntl
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final, Literal

Code = Literal[
    "bad_request",
    "version",
    "unknown_command",
    "bad_argument",
    "no_such_key",
    "no_such_slot",
    "key_exists",
    "no_such_snapshot",
    "snapshot_exists",
    "no_such_fault",
    "fault_exists",
    "refused",
    "busy",
    "failed",
]
"""What programs are told of an error; CONTROL.md says what each means."""

BAD_ARGUMENT: Final = "bad_argument"  # where the message says what is allowed
_CREDENTIALS = struct.Struct("@3i")


class RackError(Exception):
    """The rack cannot do what it was told to; the message says why, the code tells programs."""

    def __init__(self, message: str, code: Code = "refused") -> None:
        super().__init__(message)
        self.code = code


class Home:
    """The rack's folder, locked as long as the rack lives.

    The lock is on the folder's descriptor: a rack that was killed leaves none behind. Through the
    descriptor a path of any length has a short name, as sockets need it (unix(7): 107 bytes).
    Raises RackError where another rack lives there or the folder cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as fault:
            raise RackError(f"the folder {path} cannot be used: {fault.strerror}") from fault
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            os.close(self._folder)
            raise RackError(f"a rack runs already in {path}") from fault

    def listen(self, name: str) -> socket.socket:
        """Listen on a socket of that name, for this user alone (0600); raises RackError."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._clear(name)
            os.fchmod(listener.fileno(), 0o600)  # before bind, so that it was never wider
            listener.bind(f"/proc/self/fd/{self._folder}/{name}")
            listener.listen(128)
        except OSError as fault:
            listener.close()
            raise RackError(f"the rack cannot listen on {self.path / name}: {fault}") from fault
        return listener

    def _clear(self, name: str) -> None:
        """Remove the socket that a killed rack has left."""
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(os.stat(name, dir_fd=self._folder).st_mode):
                raise FileExistsError("another file is in the way")
            os.unlink(name, dir_fd=self._folder)

    def close(self, *names: str) -> None:
        """Remove the sockets of these names and unlock the folder."""
        for name in names:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._folder)
        os.close(self._folder)


def is_ours(connection: socket.socket) -> bool:
    """Tell whether the program at the other end runs as this user."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    return bool(uid == os.geteuid())

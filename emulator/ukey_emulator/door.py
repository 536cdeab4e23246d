"""The way in for programs: a socket that listens, and a thread for each connection that comes."""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)

_PAUSE = 0.1  # seconds, where a program could not be let in: not to fail in a circle


class Door:
    """Lets programs in from `open` to `shut`.

    Each connection that `admits` says yes to is served by `serve`, in a thread called `name`; it is
    closed when that returns. An OSError of `serve` is a program that has hung up.
    """

    def __init__(
        self,
        listener: socket.socket,
        serve: Callable[[socket.socket], None],
        admits: Callable[[socket.socket], bool],
        name: str,
    ) -> None:
        self._listener = listener
        self._serve = serve
        self._admits = admits
        self._name = name
        self._lock = threading.Lock()
        self._shut = False
        self.connections: set[socket.socket] = set()
        self.threads: set[threading.Thread] = set()

    def open(self) -> None:
        """Begin to let programs in."""
        self._begin(self._watch)

    def shut(self) -> bool:
        """Let nobody in any more; false if the door was shut already."""
        with self._lock:
            was_open, self._shut = not self._shut, True
        hang_up(self._listener)
        return was_open

    def hang_up(self) -> None:
        """Hang up on all who are in."""
        with self._lock:
            for connection in self.connections:
                hang_up(connection)

    def close(self, seconds: float) -> None:
        """Wait until all threads have ended, at most so long, and close the socket."""
        with self._lock:
            threads = list(self.threads)
        deadline = time.monotonic() + seconds
        for thread in threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        self._listener.close()

    def let_in(self, connection: socket.socket) -> None:
        """Serve a connection to its end."""
        with self._lock:
            self.connections.add(connection)
            if self._shut:  # whoever has shut it may have hung up on the others already
                hang_up(connection)
        try:
            with connection:
                if self._admits(connection):
                    self._serve(connection)
                else:
                    _log.warning("a program of another user was turned away")
        except OSError as fault:
            _log.debug("a program has hung up: %s", fault)
        finally:
            with self._lock:
                self.connections.discard(connection)

    def _watch(self) -> None:
        while not self._shut:
            try:
                connection, _ = self._listener.accept()
            except OSError as fault:
                if not self._shut:
                    _log.warning("a program could not be accepted: %s", fault)
                    time.sleep(_PAUSE)
                continue
            try:
                self._begin(self.let_in, connection)
            except RuntimeError as fault:
                _log.warning("no thread for a program: %s", fault)
                connection.close()

    def _begin(self, work: Callable[..., None], *connection: socket.socket) -> None:
        thread = threading.Thread(target=work, args=connection, daemon=True, name=self._name)
        thread.start()
        with self._lock:
            self.threads.add(thread)
            self.threads = {known for known in self.threads if known.is_alive()}


def hang_up(connection: socket.socket) -> None:
    """End a connection that another thread may be waiting on; that thread closes it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)

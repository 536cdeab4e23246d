"""Clients that wait until something changes at the readers."""

import logging
import socket
import threading
from collections.abc import Callable

from .messages import EVENT
from .terms import SCARD

_log = logging.getLogger(__name__)


class Events:
    """Who waits; all are told of the next event, once.

    What is sent from here goes to clients that have asked for it and read it. One that does not,
    so that there is no room left for it, is hung up on: nobody else shall wait for that.
    """

    def __init__(self) -> None:
        self._waiting: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.readers = 1
        """how often readers have come and gone; never 0 (pcsc-lite 2.3)"""

    def wait(self, client: socket.socket, states: Callable[[], bytes]) -> None:
        """Tell a client how it is now, and from then on of what changes."""
        with self._lock:
            self._waiting.add(client)  # first, so that no change falls in between
            self._tell(client, states())

    def leave(self, client: socket.socket, rv: SCARD | None = None) -> bool:
        """Wait no more, and send the client why; false if it had been told already."""
        with self._lock:
            if client not in self._waiting:
                return False
            self._waiting.discard(client)
            if rv is not None:
                self._tell(client, EVENT.pack(0, rv))
            return True

    def announce(self) -> None:
        """Wake all who wait."""
        if not self._waiting:
            return
        with self._lock:
            waiting, self._waiting = self._waiting, set()
            for client in waiting:
                self._tell(client, EVENT.pack(0, SCARD.S_SUCCESS))

    def count_reader(self) -> None:
        """Take note that a reader has come or gone."""
        self.readers = self.readers % 0x7FFF + 1

    @staticmethod
    def _tell(client: socket.socket, message: bytes) -> None:
        try:
            sent = client.send(message, socket.MSG_DONTWAIT)
        except OSError as fault:
            _log.debug("a client could not be told of an event: %s", fault)
            sent = 0
        if sent != len(message):
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

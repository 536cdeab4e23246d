"""The resource manager: the readers of a rack for the clients of pcsc-lite."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from ukey_emulator.chip import Chip
from ukey_emulator.slots import Slots

from .client import Client
from .messages import MessageError
from .reader import Card
from .readers import Readers

_log = logging.getLogger(__name__)

SOCKET_NAME = "pcscd.comm"


class ResourceManager:
    """Stands where pcscd would: libpcsclite finds it by PCSCLITE_CSOCK_NAME.

    Each slot is a reader, each key in it a card, which `make_card` makes. It answers clients that
    come by `listener` and that `admits`, each in a thread of its own, from `start` to `stop`.
    """

    def __init__(
        self,
        slots: Slots,
        make_card: Callable[[Chip], Card],
        listener: socket.socket,
        admits: Callable[[socket.socket], bool] = lambda _: True,
    ) -> None:
        self._readers = Readers(slots, make_card)
        self._listener: socket.socket | None = listener
        self._admits = admits
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()

    def start(self) -> None:
        """Make the readers and begin to answer."""
        self._readers.start()
        self._begin(self._accept, self._listener)

    def stop(self) -> None:
        """Hang up on everyone, take the readers away, and the power of the cards."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        _hang_up(listener)
        with self._lock:
            threads = list(self._threads)
            for connection in self._connections:
                _hang_up(connection)
        self._readers.stop()
        deadline = time.monotonic() + 5
        for thread in threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        listener.close()

    def _begin(self, work: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401
        thread = threading.Thread(target=work, args=arguments, daemon=True, name="ukey-readers")
        thread.start()
        with self._lock:
            self._threads.add(thread)
            self._threads = {known for known in self._threads if known.is_alive()}

    def _accept(self, listener: socket.socket) -> None:
        while self._listener is not None:
            try:
                connection, _ = listener.accept()
            except OSError as fault:
                if self._listener is not None:
                    _log.warning("a program could not be accepted: %s", fault)
                    time.sleep(0.1)
                continue
            try:
                self._begin(self._serve, connection)
            except RuntimeError as fault:
                _log.warning("no thread for a program: %s", fault)
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)
            if self._listener is None:  # whoever stops it may have hung up on the others already
                _hang_up(connection)
        try:
            with connection:
                if not self._admits(connection):
                    _log.warning("a program of another user was turned away")
                    return
                Client(self._readers, connection).talk()
        except MessageError as fault:
            _log.warning("a program's connection was ended: %s", fault)
        except OSError as fault:
            _log.debug("a program has hung up: %s", fault)
        finally:
            with self._lock:
                self._connections.discard(connection)


def _hang_up(connection: socket.socket) -> None:
    """End a connection that another thread may be waiting on; that thread closes it."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return

"""A gate on the way to a service: it lets requests through, and does what a scenario plans.

One request per connection is passed on, with the Host header that the service expects; what else
comes out on the other side is what went in.
"""

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

PIECE = 1 << 16
IDLE = 30.0  # seconds without a byte, after which a connection is given up
Hook = Callable[[int], None]


class Gate:
    """A gate in front of `url`; use `gate.url` in its place.

    before(n) runs when the n-th request (from 1) has arrived, before it is let through; where it
    raises CutOff, the request never reaches the service. after(n) runs when the answer is
    complete, before any of it goes back; where it raises CutOff, the answer is lost.
    """

    def __init__(self, url: str, before: Hook | None = None, after: Hook | None = None) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 80)
        self._before = before
        self._after = after
        self._count = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}{parts.path}"
        self.failures: list[Exception] = []
        self._thread = threading.Thread(target=self._accept, name="gate", daemon=True)
        self._thread.start()

    @property
    def requests(self) -> int:
        """How many requests have arrived."""
        return self._count

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, CutOff):
            while request := _message(client):
                with self._lock:
                    self._count += 1
                    number = self._count
                self._run(self._before, number)
                with socket.create_connection(self._target, IDLE) as service:
                    service.sendall(_passed_on(request, self._target))
                    answer = _everything(service)
                self._run(self._after, number)
                client.sendall(answer)
                return

    def _run(self, hook: Hook | None, number: int) -> None:
        if hook is None:
            return
        try:
            hook(number)
        except CutOff:
            raise
        except Exception as error:
            self.failures.append(error)
            raise CutOff from error

    def close(self) -> None:
        """Close the gate."""
        # accept() in the other thread does not notice a close; a shutdown wakes it.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class CutOff(Exception):  # noqa: N818 - an event on the line, not an error
    """The line is cut here."""


def _message(connection: socket.socket) -> bytes:
    """Read one request: its head and as many bytes as Content-Length says (RFC 9112 §6)."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = _receive(connection)
        if not piece:
            return b""
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        piece = _receive(connection)
        if not piece:
            return b""
        body += piece
    return head + b"\r\n\r\n" + body


def _passed_on(request: bytes, target: tuple[str, int]) -> bytes:
    """Name the service as host, and ask it to close after its answer, which ends there."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [
        line
        for line in head.split(b"\r\n")
        if not line.lower().startswith((b"connection:", b"host:"))
    ]
    host = f"Host: {target[0]}:{target[1]}".encode()
    return b"\r\n".join([*lines, host, b"Connection: close"]) + b"\r\n\r\n" + body


def _everything(connection: socket.socket) -> bytes:
    received = b""
    while piece := _receive(connection):
        received += piece
    return received


def _receive(connection: socket.socket) -> bytes:
    ready, _, _ = select.select([connection], [], [], IDLE)
    if not ready:
        raise TimeoutError
    return connection.recv(PIECE)

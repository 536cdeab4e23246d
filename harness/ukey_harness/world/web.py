"""Serving an application on loopback, in a thread of this process."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import uvicorn
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ukey_harness.world.errors import WorldError

HOST = "127.0.0.1"
_BACKLOG = 128
_START_LIMIT = 10.0
_STOP_LIMIT = 5.0
_GRACE = 2
_POLL = 0.005


def bind(port: int = 0) -> socket.socket:
    """Return a socket that listens on `port` of the loopback address, by default on a free one.

    It listens before its application is made, as an application may have to know its address.
    WorldError where the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # A fixed port can be had again at once after its last connections.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise WorldError(
            f"port {port} of {HOST}, which the addresses of this world name, cannot be had "
            f"({error.strerror}): end the program that uses it"
        ) from error
    return listener


def port_of(listener: socket.socket) -> int:
    """Return the port of a bound socket."""
    port: int = listener.getsockname()[1]
    return port


class OwnHost:
    """Lets an application answer to its own address only (421 otherwise, RFC 9110 §15.5.20).

    A page that makes a name of its own point to loopback (DNS rebinding) so gets nothing. Clients
    of CMP, OCSP and timestamps may leave the port out of Host (OpenSSL 3.0 does), and those of
    HTTP/1.0 the whole field; a browser does neither.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._names = {HOST, f"{HOST}:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if its Host field names this address."""
        if scope["type"] == "http":
            hosts = Headers(scope=scope).getlist("host")
            unnamed = not hosts and scope["http_version"] == "1.0"
            if not unnamed and (len(hosts) != 1 or hosts[0] not in self._names):
                own = max(self._names, key=len)
                refusal = PlainTextResponse(f"this is {own}, and answers to no other name\n", 421)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Service:
    """An application served on a listening socket by a thread of its own, until it is stopped.

    WorldError if it does not serve within ten seconds.
    """

    def __init__(self, name: str, app: ASGIApp, listener: socket.socket) -> None:
        self._listener = listener
        config = uvicorn.Config(
            app,
            log_config=None,  # the logging of the process that tests is not ours to change
            access_log=False,
            ws="none",
            lifespan="off",  # a site that is taken down and brought up again keeps its state
            timeout_graceful_shutdown=_GRACE,
        )
        self._server = uvicorn.Server(config)
        # A daemon, so that a program which forgets to stop the world can still end.
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name=f"ukeylab {name}", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_LIMIT
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise WorldError(f"the {name} does not start to serve: its log says why")
            time.sleep(_POLL)

    def ask_to_stop(self) -> None:
        """Ask the thread to end, without waiting for it."""
        self._server.should_exit = True

    def stop(self) -> None:
        """End the thread and close the socket; running requests get two seconds to finish."""
        self.ask_to_stop()
        self._thread.join(_STOP_LIMIT)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(_STOP_LIMIT)
        with contextlib.suppress(OSError):
            self._listener.close()

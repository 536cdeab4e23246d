"""The control port's socket: CONTROL.md on the wire, a thread for each connection."""

import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from ukey_emulator.door import Door

from .home import Home, is_ours
from .requests import (
    HELLO,
    LONGEST,
    PAGE,
    Command,
    RequestError,
    Stream,
    answer,
    attempt,
    hello,
    refused,
    written,
)

SOCKET_NAME = "control.sock"
_MOST = 100  # connections at the same time
_PATIENCE = struct.pack("@ll", 30, 0)  # timeval: with a program that does not read its answers
_PAUSE = 0.05  # seconds between two looks at what is followed


class ControlServer:
    """Serves commands, named as callers name them, in the folder of a rack."""

    def __init__(self, home: Home, commands: Mapping[str, Command]) -> None:
        self._commands = {HELLO: hello(str(home.path.absolute()), commands), **commands}
        self._door = Door(home.listen(SOCKET_NAME), self._serve, is_ours, "ukey-control")
        self._door.open()

    def stop(self) -> None:
        """Hang up on everyone."""
        if self._door.shut():
            self._door.hang_up()
            self._door.close(0)

    def _serve(self, connection: socket.socket) -> None:
        """Answer a program's requests, one after the other, until it hangs up."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PATIENCE)
        if len(self._door.connections) > _MOST:
            full = RequestError("busy", f"the control port serves {_MOST} connections at a time")
            connection.sendall(refused(full))
            return
        with connection.makefile("rb") as incoming:
            for line in _lines(incoming):
                found = answer(line, self._commands)
                if isinstance(found, Stream):
                    found = _stream(connection, found)
                connection.sendall(found)


def _lines(incoming: BinaryIO) -> Iterator[bytes]:
    """Give the lines that come; of one that is too long just so much that it shows."""
    while line := incoming.readline(LONGEST + 2):
        yield line
        while len(line) == LONGEST + 2 and not line.endswith(b"\n"):
            line = incoming.readline(LONGEST + 2)


def _stream(connection: socket.socket, stream: Stream) -> bytes:
    """Send what is new as it comes; give the line that ends it. OSError if nobody listens.

    What crosses the faces wakes nobody, as it must not be slower for being followed.
    """
    hung_up = select.poll()
    hung_up.register(connection, 0)  # half of a connection may be closed, as `socat` does
    deadline = time.monotonic() + stream.seconds
    last, told = stream.since, 0
    while True:
        late = time.monotonic() >= deadline
        news = attempt(lambda: _news(stream, last, min(PAGE, stream.most - told)))  # noqa: B023
        if isinstance(news, bytes):
            return news
        if news:
            connection.sendall(b"".join(line for _, line in news))
            last, told = news[-1][0], told + len(news)
        if late or told == stream.most:
            return written({"ok": True, "result": {"last": last, "told": told}})
        if hung_up.poll(0 if len(news) == PAGE else _PAUSE * 1000):
            raise ConnectionResetError("the program has hung up on its stream")


def _news(stream: Stream, last: int, most: int) -> list[tuple[int, bytes]]:
    """Give what is new, each with its number and as the line that tells of it."""
    return [(each["n"], written({"ok": True, "next": each})) for each in stream.read(last, most)]

"""What comes in from one client, cut into messages."""

import socket
from typing import Any

from ukey_emulator.lookout import Lookout

from .messages import HEADER, LONGEST_DATA, SHAPES, MessageError

_ROOM = 4096


class Incoming:
    """The stream of one connection.

    A client sends a message in up to three pieces, and mostly all are there when the first is: so
    whatever has come is taken at once. It sends the next only when this one has been answered.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._receive = Lookout(connection).receive
        self._room = memoryview(bytearray(_ROOM))
        self._got = 0

    def take(self) -> tuple[int, tuple[Any, ...], bytes] | None:
        """Give the next message: command, fields of its structure, data; None at the end.

        MessageError if it is none.
        """
        got = self._begin()
        if not got:
            return None
        room = self._room
        size, command = HEADER.unpack_from(room)
        shape = SHAPES.get(command)
        if shape is None:
            raise MessageError(f"there is no command {command}")
        structure, data_field = shape
        if size != structure.size:
            raise MessageError(f"command {command} has {structure.size} bytes, not {size}")
        end = HEADER.size + size
        if got < end:
            got = self._fill(got, end)
        fields = structure.unpack_from(room, HEADER.size)
        if data_field is None:
            data = b""
        else:
            length = fields[data_field]
            if length > LONGEST_DATA:
                raise MessageError(f"{length} bytes are more than any card takes")
            begin, end = end, end + length
            if got < end:
                got = self._fill(got, end)
            data = bytes(self._room[begin:end])
        self._got = got - end
        if self._got or len(self._room) > _ROOM:
            self._keep(end, got)
        return command, fields, data

    def _begin(self) -> int:
        """Receive a header, and what has come with it; give how much that is, 0 at the end."""
        got = self._got
        while got < HEADER.size:
            more = self._receive(self._room[got:])
            if not more:
                if got:
                    raise MessageError("it ended within a header")
                return 0
            got += more
        return got

    def _fill(self, got: int, end: int) -> int:
        """Receive until `end` bytes are there."""
        if end > len(self._room):
            larger = memoryview(bytearray(end))
            larger[:got] = self._room[:got]
            self._room = larger
        while got < end:
            more = self._receive(self._room[got:])
            if not more:
                raise MessageError("it ended within a message")
            got += more
        return got

    def _keep(self, begin: int, end: int) -> None:
        """Keep what has come already of the messages after this one, in a room of usual size."""
        rest = bytes(self._room[begin:end])
        if len(self._room) > _ROOM >= len(rest):
            self._room = memoryview(bytearray(_ROOM))
        self._room[: len(rest)] = rest

"""The frames that the C module sends, as emulator/module/PROTOCOL.md tells them."""

import socket
import struct
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from ukey_emulator.cryptoki.wire import FRAME_LIMIT, HEADER, VERSION, WireError
from ukey_emulator.lookout import Lookout

PATIENCE = 60
"""Seconds that a frame may stay half sent, or an answer unread."""

TOLD = 0x80
"""In a function number: the module has answered this call itself, it only tells of it."""

HELLO = 0
"""The function number of the first frame of a connection."""

GENERAL_ERROR = 0x5
"""CKR_GENERAL_ERROR: what the rack answers when it has failed itself."""

_ANCHOR = 1
_HELLO_HEAD = struct.Struct("<16sQQ")
_TIMEVAL = struct.Struct("@ll")
_ROOM = 16 * 1024
_MOST_ROOM = 1024 * 1024


class Hello(NamedTuple):
    """Who speaks on a connection.

    The `anchor` is the one connection that begins and ends an application; the others are of its
    threads.
    """

    application_id: bytes
    pid: int
    anchor: bool
    name: str


def bare_answer(number: int, rv: int) -> bytes:
    """Give an answer without results."""
    return HEADER.pack(VERSION, number, 8) + struct.pack("<Q", rv)


def read_hello(payload: memoryview) -> Hello:
    """Read who speaks; raises WireError."""
    if not _HELLO_HEAD.size <= len(payload) <= _HELLO_HEAD.size + 255:
        raise WireError("the hello has a wrong length")
    application_id, pid, role = _HELLO_HEAD.unpack_from(payload)
    if role > _ANCHOR:
        raise WireError("the hello names an unknown role")
    name = payload[_HELLO_HEAD.size :].tobytes().decode("utf-8", "replace")
    return Hello(application_id, pid, role == _ANCHOR, name)


def frames(
    connection: socket.socket,
    working: Collection[object],
    meanwhile: Callable[[], None],
) -> Iterator[tuple[int, memoryview]]:
    """Receive frames until the program hangs up: function number, payload.

    `working` holds something while another connection's call is being carried out. What can be done
    `meanwhile` is done whenever the next frame has to be waited for.

    A payload is good until the next one is asked for. The next frame may only come when this one
    has been answered, or if this one is TOLD.
    """
    head = HEADER.size
    room = memoryview(bytearray(_ROOM))
    lookout = Lookout(connection, working)
    begin = got = 0  # a frame begins at `begin`, up to `got` something has come
    while True:
        if begin == got:
            if len(room) > _MOST_ROOM:
                room = memoryview(bytearray(_ROOM))
            begin = 0
            meanwhile()
            got = lookout.receive(room)
            if not got:
                return
        if got - begin < head:
            begin, got = _move(room, begin, got)
            got = _fill(connection, room, got, head)
        version, number, length = HEADER.unpack_from(room, begin)
        if version != VERSION or length > FRAME_LIMIT:
            connection.sendall(bare_answer(HELLO, GENERAL_ERROR))  # for the module to see ours
            raise WireError(f"a frame has version {version} and {length} bytes")
        end = begin + head + length
        if end > got:
            begin, got = _move(room, begin, got)
            end = head + length
            if end > len(room):
                room = _larger(room, end)
            got = _fill(connection, room, got, end)
        if end != got and not number & TOLD:
            raise WireError("a frame came before the last one was answered")
        yield number, room[begin + head : end]
        begin = end


def _move(room: memoryview, begin: int, got: int) -> tuple[int, int]:
    """Move what has come to the front; give where it begins and ends there."""
    if begin:
        room[: got - begin] = room[begin:got].tobytes()
    return 0, got - begin


def _larger(room: memoryview, size: int) -> memoryview:
    larger = memoryview(bytearray(size))
    larger[: len(room)] = room
    return larger


def _fill(connection: socket.socket, room: memoryview, got: int, size: int) -> int:
    """Receive until `size` bytes are there."""
    while got < size:
        try:
            more = connection.recv_into(room[got:])
        except BlockingIOError as fault:
            raise WireError(f"half a frame came, and no more in {PATIENCE} seconds") from fault
        if not more:
            raise WireError("the program hung up in the middle of a frame")
        got += more
    return got


def be_patient(connection: socket.socket) -> None:
    """Bound every wait on the socket, without the extra system calls of Python's timeouts."""
    timeval = _TIMEVAL.pack(PATIENCE, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)

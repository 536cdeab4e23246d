"""Waiting for what comes next on a connection, without sleeping where it comes at once."""

import os
import socket
import time
from collections.abc import Collection

_MOST_LOOKS = 16
_SOON = 50_000  # nanoseconds


class Lookout:
    """Receives from a connection, and looks a few times before it goes to sleep.

    A call mostly follows the last one at once, and to be woken takes longer than such a call. So
    the next one is looked for as often as the last one showed to be worth it: all the more while
    calls come one after the other, not at all while they do not, nor while `working` holds
    something: others' calls being carried out, from whom each look would take the interpreter's
    lock.
    """

    def __init__(self, connection: socket.socket, working: Collection[object] = ()) -> None:
        self._receive = connection.recv_into
        self._working = working
        self._looks = 0

    def receive(self, room: memoryview) -> int:
        """Wait until something has come, put it into the room and give its length; 0 at the end.

        Raises OSError as `recv_into` does.
        """
        receive = self._receive
        for _ in range(self._looks):
            if self._working:
                break
            try:
                got = receive(room, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                os.sched_yield()
            else:
                self._looks = _MOST_LOOKS
                return got
        while True:
            begun = time.monotonic_ns()
            try:
                got = receive(room)
            except BlockingIOError:
                continue  # nothing was asked for a while
            soon = time.monotonic_ns() - begun < _SOON
            self._looks = _MOST_LOOKS if soon else self._looks // 2
            return got

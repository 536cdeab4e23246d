"""The rack's socket for the C module: one thread for each connection, PROTOCOL.md on the wire."""

import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

from ukey_emulator.cryptoki.wire import WireError
from ukey_emulator.door import Door, hang_up
from ukey_emulator.epoch import Epoch
from ukey_emulator.rack.calls import Calls, Face, Told, Untold
from ukey_emulator.rack.frames import (
    HELLO,
    TOLD,
    Hello,
    bare_answer,
    be_patient,
    frames,
    read_hello,
)
from ukey_emulator.rack.home import Home, is_ours

_log = logging.getLogger(__name__)

SOCKET_NAME = "rack.sock"

_OK = 0
_FINALIZE = 2
_WAIT_FOR_SLOT_EVENT = 68  # waits, and works not
_ENDING = 5.0  # seconds at most for the threads of programs
_DRAINING = 2.0  # seconds at most: a call that does not end keeps nobody from C_Finalize


class _Application:
    """An application of the face and the connections that belong to it."""

    def __init__(self, face: Face, application_id: bytes, pid: int, name: str) -> None:
        self._face = face
        self._lock = threading.Lock()
        self._left = threading.Condition(self._lock)
        self.ended = False
        self._connections: set[socket.socket] = set()
        self.face_application = face.attach(application_id, pid, name)

    def join(self, connection: socket.socket) -> bool:
        """Add a connection; false if the application has ended."""
        with self._lock:
            if not self.ended:
                self._connections.add(connection)
            return not self.ended

    def leave(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.discard(connection)
            self._left.notify_all()

    def end(self) -> None:
        """Tell the face, once, and hang up on all threads of the program."""
        with self._lock:
            ended, self.ended = self.ended, True
        if ended:
            return
        self._face.detach(self.face_application)
        with self._lock:
            for connection in self._connections:
                hang_up(connection)

    def drain(self) -> None:
        """Wait for a moment until what its threads have told before the end is read."""
        with self._lock:
            self._left.wait_for(lambda: not self._connections, _DRAINING)


class ModuleServer:
    """Listens on rack.sock in a rack's folder for the C module and hands its calls to a face.

    With an `epoch`, the module may answer a call from memory as long as that stands still; `told`
    hears of each such call: the application, the function's name, the frame's payload.
    `start` raises RackError where it cannot listen; `stop` hangs up on everyone and ends all
    applications.
    """

    def __init__(
        self,
        home: Home,
        face: Face,
        epoch: Epoch | None = None,
        told: Told = lambda *_: None,
    ) -> None:
        self._home = home
        self._face = face
        self._epoch = epoch
        self._told = told
        self._door: Door | None = None
        self._lock = threading.Lock()
        self._applications: dict[bytes, _Application] = {}
        self._working: set[socket.socket] = set()

    def start(self) -> None:
        """Bind the socket and begin to answer."""
        self._door = Door(self._home.listen(SOCKET_NAME), self._serve, is_ours, "ukey-module")
        self._door.open()

    def applications(self) -> list[Any]:
        """Give what the face has given for each program that is there."""
        with self._lock:
            return [each.face_application for each in self._applications.values()]

    def stop(self) -> None:
        """Hang up on everyone; the threads of calls that still run are waited for a while."""
        if self._door is None or not self._door.shut():
            return
        with self._lock:
            applications = list(self._applications.values())
        for application in applications:
            application.end()
        self._door.hang_up()
        self._door.close(_ENDING)

    def _serve(self, connection: socket.socket) -> None:
        try:
            self._talk(connection)
        except WireError as fault:
            _log.warning("a program's connection was ended: %s", fault)
        finally:
            self._working.discard(connection)

    def _talk(self, connection: socket.socket) -> None:
        """Greet a program's thread, then answer its calls until it hangs up."""
        be_patient(connection)
        untold = Untold(self._told)
        incoming = frames(connection, self._working, untold.tell)
        try:
            number, payload = next(incoming)
        except StopIteration:
            return
        if number != HELLO:
            raise WireError("the first frame is no hello")
        hello = read_hello(payload)
        application = self._application(hello)
        if application is None or not application.join(connection):
            raise WireError("the hello of a program's thread came without its program")
        try:
            brought = [self._epoch.descriptor] if self._epoch and hello.anchor else []
            socket.send_fds(connection, [bare_answer(HELLO, _OK)], brought)
            calls = Calls(self._face, application.face_application, untold)
            self._answer_calls(connection, incoming, calls, application)
        finally:
            untold.tell()
            application.leave(connection)
            if hello.anchor:
                self._end(hello.application_id)

    def _application(self, hello: Hello) -> _Application | None:
        with self._lock:
            known = self._applications.get(hello.application_id)
            if not hello.anchor:
                return known
            if known is not None:
                raise WireError("a program came twice under one identity")
            application = _Application(self._face, hello.application_id, hello.pid, hello.name)
            self._applications[hello.application_id] = application
            return application

    def _end(self, application_id: bytes) -> None:
        with self._lock:
            application = self._applications.pop(application_id, None)
        if application is not None:
            application.end()

    def _answer_calls(
        self,
        connection: socket.socket,
        incoming: Iterator[tuple[int, memoryview]],
        calls: Calls,
        application: _Application,
    ) -> None:
        send, working = connection.sendall, self._working
        for number, payload in incoming:
            if number & TOLD:
                calls.hear(number - TOLD, payload)
                continue
            if number == _FINALIZE and not payload:
                application.leave(connection)  # it is the one that is not hung up on
                application.end()
                application.drain()
                send(bare_answer(number, _OK))
                return
            if number != _WAIT_FOR_SLOT_EVENT:
                working.add(connection)
            answer = calls.answer(number, payload)
            if application.ended:
                return  # what a call answers that the end has woken is nothing to anyone
            send(answer)
            working.discard(connection)

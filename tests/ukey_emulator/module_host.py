"""The C module loaded into this process, and racks that answer it as a test tells them."""

import contextlib
import ctypes
import shutil
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from ctypes import POINTER, c_char_p, c_ubyte, c_ulong, c_void_p
from pathlib import Path
from typing import Any

import ukey_emulator
from ukey_emulator.door import hang_up
from ukey_emulator.rack.home import Home
from ukey_emulator.rack.server import SOCKET_NAME, ModuleServer

OK = 0x0
GENERAL_ERROR = 0x5
ARGUMENTS_BAD = 0x7
NO_EVENT = 0x8
SLOT_ID_INVALID = 0x3
DEVICE_ERROR = 0x30
DEVICE_REMOVED = 0x32
FUNCTION_NOT_PARALLEL = 0x51
SESSION_HANDLE_INVALID = 0xB3
BUFFER_TOO_SMALL = 0x150
NOT_INITIALIZED = 0x190
ALREADY_INITIALIZED = 0x191

UNAVAILABLE = 2**64 - 1


class Attribute(ctypes.Structure):
    _fields_ = [("type", c_ulong), ("value", c_void_p), ("length", c_ulong)]


class Mechanism(ctypes.Structure):
    _fields_ = [("type", c_ulong), ("parameter", c_void_p), ("length", c_ulong)]


class Version(ctypes.Structure):
    _fields_ = [("major", c_ubyte), ("minor", c_ubyte)]


class Info(ctypes.Structure):
    _fields_ = [
        ("cryptoki_version", Version),
        ("manufacturer", c_ubyte * 32),
        ("flags", c_ulong),
        ("description", c_ubyte * 32),
        ("library_version", Version),
    ]


class Interface(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("functions", POINTER(Version)), ("flags", c_ulong)]


def attributes(*entries: tuple[int, Any]) -> Any:
    """Make a CK_ATTRIBUTE array: values are bytes, None (NULL, 0) or (pointer, length)."""
    array = (Attribute * len(entries))()
    for attribute, (kind, value) in zip(array, entries, strict=True):
        attribute.type = kind
        match value:
            case bytes():
                held = ctypes.create_string_buffer(value, max(1, len(value)))
                attribute.held = held  # ctypes keeps no reference behind a void pointer
                attribute.value, attribute.length = ctypes.addressof(held), len(value)
                _alive.append(held)
            case (pointer, length):
                attribute.value = ctypes.addressof(pointer) if pointer is not None else None
                attribute.length = length
    return array


_alive: list[Any] = []


def mechanism(kind: int, parameter: Any = None, length: int | None = None) -> Any:
    """Make a reference to a CK_MECHANISM; `length` overrides the parameter's size."""
    if isinstance(parameter, bytes):
        parameter = ctypes.create_string_buffer(parameter, len(parameter))
    size = 0 if parameter is None else ctypes.sizeof(parameter)
    address = None if parameter is None else ctypes.addressof(parameter)
    made = Mechanism(kind, address, size if length is None else length)
    _alive.append(parameter)
    return ctypes.byref(made)


def structure(**members: Any) -> Any:
    """Make a C struct: int is CK_ULONG, bytes a pointer to them, None NULL, bool a byte."""
    kinds = {bool: c_ubyte, int: c_ulong, bytes: c_void_p, type(None): c_void_p}
    made_type = type(
        "Struct",
        (ctypes.Structure,),
        {"_fields_": [(n, kinds.get(type(v), c_void_p)) for n, v in members.items()]},
    )
    made = made_type()
    for name, value in members.items():
        if isinstance(value, bytes):
            held = ctypes.create_string_buffer(value, max(1, len(value)))
            _alive.append(held)
            setattr(made, name, ctypes.addressof(held))
        elif isinstance(value, ctypes.Structure | ctypes.Array):
            _alive.append(value)
            setattr(made, name, ctypes.addressof(value))
        elif value is not None:
            setattr(made, name, value)
    return made


class Module:
    """A copy of the module of its own, so that no other test in this process shares its state."""

    def __init__(self, folder: Path) -> None:
        self.path = Path(shutil.copy(ukey_emulator.module_path(), folder))
        self._library = ctypes.CDLL(str(self.path))

    def __getattr__(self, name: str) -> Callable[..., int]:
        function = getattr(self._library, name)
        function.restype = c_ulong

        def call(*arguments: Any) -> int:
            return int(function(*(c_ulong(a) if type(a) is int else a for a in arguments)))

        return call


class ScriptedFace:
    """Answers calls as a test says, by (rv, results) or a function, and keeps them."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.given: list[tuple[int, tuple[Any, ...]]] = []
        self.attached: list[tuple[bytes, int, str]] = []
        self.detached: list[int] = []
        self.ended = threading.Event()

    def attach(self, application_id: bytes, pid: int, name: str) -> int:
        self.attached.append((application_id, pid, name))
        self.ended.clear()
        return len(self.attached) - 1

    def detach(self, application: int) -> None:
        self.detached.append(application)
        self.ended.set()

    def call(
        self, application: int, function_name: str, args: tuple[Any, ...]
    ) -> tuple[int, tuple[Any, ...]]:
        assert application not in self.detached
        self.calls.append((function_name, args))
        answer = self.answers.get(function_name, (OK, ()))
        place = len(self.given)
        self.given.append((GENERAL_ERROR, ()))  # where the answer is a mistake
        given: tuple[int, tuple[Any, ...]] = answer(*args) if callable(answer) else answer
        self.given[place] = given
        return given

    def keep_promise(self, application: int, function_name: str, args: tuple[Any, ...]) -> None:
        self.call(application, function_name, args)

    def sign_again(self, *_: object) -> None:
        raise NotImplementedError("no signature was given to be made again")

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments of the last call."""
        return self.calls[-1][1]


@contextlib.contextmanager
def running(home: Path, face: ScriptedFace) -> Iterator[ModuleServer]:
    """Run the rack's server with a scripted face."""
    place = Home(home)
    server = ModuleServer(place, face)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        place.close(SOCKET_NAME)


class RawRack:
    """A rack that greets as it should and answers calls with whatever bytes the test gives.

    `answer` gets the function number and the payload; None hangs up.
    """

    def __init__(self, home: Path, answer: Callable[[int, bytes], bytes | None]) -> None:
        self._home = Home(home)
        self._listener = self._home.listen(SOCKET_NAME)
        self._answer = answer
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as stream:
            while header := stream.read(6):
                _, number, size = struct.unpack("<BBI", header)
                payload = stream.read(size)
                answer = frame(0, struct.pack("<Q", OK))
                if number != 0:
                    given = self._answer(number, payload)
                    if given is None:
                        return
                    answer = given
                connection.sendall(answer)

    def stop(self) -> None:
        hang_up(self._listener)
        self._listener.close()
        for connection in self._connections:
            hang_up(connection)
        self._home.close(SOCKET_NAME)


def frame(number: int, payload: bytes) -> bytes:
    """Give a frame of the protocol."""
    return struct.pack("<BBI", 1, number, len(payload)) + payload

"""Broken frames and broken connections, on both sides of the module's socket."""

import hashlib
import os
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from ctypes import byref, c_ubyte, c_ulong
from pathlib import Path

import module_host as host
import pytest
from module_host import Module, RawRack, ScriptedFace, attributes, frame
from wire_client import words

from ukey_emulator.rack.home import Home, RackError
from ukey_emulator.rack.server import SOCKET_NAME

SIGN, SLOT_LIST, TOKEN_INFO, VALUES, LOGOUT = 44, 5, 7, 25, 20
OK, FILLED = words(0), 0xEE


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Module:
    return Module(tmp_path_factory.mktemp("module"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UKEY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


Answering = Callable[[Callable[[int, bytes], bytes | None]], Module]


@pytest.fixture
def answering(loaded: Module, home: Path) -> Iterator[Answering]:
    """Give the module, initialised against a rack that answers with these bytes."""
    racks = []

    def begin(answer: Callable[[int, bytes], bytes | None]) -> Module:
        racks.append(RawRack(home, answer))
        assert loaded.C_Initialize(None) == host.OK
        return loaded

    yield begin
    loaded.C_Finalize(None)
    for rack in racks:
        rack.stop()


def sign(module: Module) -> tuple[int, int, set[int]]:
    buffer, length = (c_ubyte * 16)(*[FILLED] * 16), c_ulong(16)
    rv = module.C_Sign(1, b"data", 4, buffer, byref(length))
    return rv, length.value, set(buffer)


@pytest.mark.parametrize(
    "answer",
    [
        b"\2" + frame(SIGN, OK)[1:],
        frame(LOGOUT, OK),
        frame(SIGN, b""),
        frame(SIGN, OK[:7]),
        frame(SIGN, OK + b"\0"),
        frame(SIGN, OK + words(2, 3) + b"ab"),
        frame(SIGN, OK + words(2, 3) + b"abcd"),
        frame(SIGN, OK + words(2, 17) + bytes(17)),
        frame(SIGN, OK + words(2, 2**64 - 1)),
        frame(SIGN, OK + words(3, 1)),
        frame(SIGN, OK + words(1, 9) + words(1, 9)),
        frame(SIGN, OK) + b"more",
        struct.pack("<BBI", 1, SIGN, 2**32 - 1) + OK,
        hashlib.sha512(b"noise").digest(),  # the same for all workers of pytest-xdist
    ],
)
def test_an_answer_that_is_none_is_a_device_error(answering: Answering, answer: bytes) -> None:
    module = answering(lambda number, _: answer if number == SIGN else frame(number, OK))
    assert sign(module) == (host.DEVICE_ERROR, 16, {FILLED})
    assert module.C_Logout(1) == host.OK  # over a new connection


@pytest.mark.parametrize(
    "tail",
    [
        words(2, 2) + words(5, 1, 5, 1) + b"label" + b"12345",  # the second one is too long
        words(2, 1) + words(5, 1) + b"label",  # one of two
        words(2, 2) + words(24, 2, 1, 0) + words(3, 1, 0),  # nested where nothing nests
        words(2, 2) + words(5, 1, 3, 9) + b"label",
        words(1, 2),
    ],
)
def test_a_bad_list_of_values_is_not_written_in_part(answering: Answering, tail: bytes) -> None:
    module = answering(lambda number, _: frame(number, OK + tail if number == VALUES else OK))
    first, second = (c_ubyte * 24)(*[FILLED] * 24), (c_ubyte * 4)(*[FILLED] * 4)
    query = attributes((3, (first, 24)), (0x102, (second, 4)))
    assert module.C_GetAttributeValue(1, 2, query, 2) == host.DEVICE_ERROR
    assert set(first) | set(second) == {FILLED}
    assert [attribute.length for attribute in query] == [24, 4]


@pytest.mark.parametrize(
    "inner",
    [
        words(3, 9, 1) + b"too  long",
        words(0x40000212, 0, 2),  # where the program has no attributes
        words(3, 4),  # without its form
    ],
)
def test_a_bad_template_inside_is_not_written_in_part(answering: Answering, inner: bytes) -> None:
    tail = words(2, 2) + words(5, 1, 24, 2) + b"label" + inner
    module = answering(lambda number, _: frame(number, OK + tail if number == VALUES else OK))
    first, second = (c_ubyte * 24)(*[FILLED] * 24), (c_ubyte * 4)(*[FILLED] * 4)
    nested = attributes((0, (second, 4)))
    query = attributes((3, (first, 24)), (0x40000211, (nested, 24)))
    assert module.C_GetAttributeValue(1, 2, query, 2) == host.DEVICE_ERROR
    assert set(first) | set(second) == {FILLED}
    assert (nested[0].type, nested[0].length) == (0, 4)


@pytest.mark.parametrize("count", [3, 2**61, 2**64 - 1])
def test_more_slots_than_there_is_room_for(answering: Answering, count: int) -> None:
    answer = OK + words(2, count, 1, 2, 3)
    module = answering(lambda number, _: frame(number, answer if number == SLOT_LIST else OK))
    slots, room = (c_ulong * 3)(9, 9, 9), c_ulong(2)
    assert module.C_GetSlotList(1, slots, byref(room)) == host.DEVICE_ERROR
    assert (list(slots), room.value) == ([9, 9, 9], 2)


def test_a_struct_of_another_size(answering: Answering) -> None:
    answer = OK + words(2, 207) + bytes(207)
    module = answering(lambda number, _: frame(number, answer if number == TOKEN_INFO else OK))
    info = (c_ubyte * 208)(*[FILLED] * 208)
    assert module.C_GetTokenInfo(1, info) == host.DEVICE_ERROR
    assert set(info) == {FILLED}


def test_a_rack_that_hangs_up_in_the_middle_of_a_call(answering: Answering) -> None:
    module = answering(lambda number, _: None if number == SIGN else frame(number, OK))
    assert sign(module) == (host.DEVICE_REMOVED, 16, {FILLED})
    assert module.C_Logout(1) == host.OK


def test_an_answer_that_comes_in_pieces(loaded: Module, home: Path) -> None:
    answer = frame(SIGN, OK + words(2, 9) + b"signature")
    place = Home(home)
    with place.listen(SOCKET_NAME) as listener:

        def serve(connection: socket.socket) -> None:
            while header := connection.recv(6):
                connection.recv(struct.unpack("<BBI", header)[2], socket.MSG_WAITALL)
                reply = answer if header[1] == SIGN else frame(header[1], OK)
                for n in range(len(reply)):
                    connection.sendall(reply[n : n + 1])
                    time.sleep(0.0005)
            connection.close()

        def accept() -> None:
            for _ in range(2):
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        assert loaded.C_Initialize(None) == host.OK
        rv, length, _ = sign(loaded)
        assert (rv, length) == (host.OK, 9)
        assert loaded.C_Finalize(None) == host.OK
    place.close(SOCKET_NAME)


def test_a_rack_that_is_killed_in_the_middle_of_a_call(loaded: Module, home: Path) -> None:
    script = (
        "import sys, pathlib, time; sys.path.insert(0, sys.argv[2])\n"
        "import module_host as host\n"
        "face = host.ScriptedFace()\n"
        "face.answers['C_Sign'] = lambda *_: time.sleep(60)\n"
        "with host.running(pathlib.Path(sys.argv[1]), face):\n"
        "    print('up', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(home), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as rack:
        assert rack.stdout is not None
        assert rack.stdout.readline() == b"up\n"
        assert loaded.C_Initialize(None) == host.OK
        assert loaded.C_Logout(1) == host.OK
        threading.Timer(0.3, rack.kill).start()
        assert sign(loaded) == (host.DEVICE_REMOVED, 16, {FILLED})
        assert loaded.C_Logout(1) == host.SESSION_HANDLE_INVALID
        count = c_ulong(9)
        assert loaded.C_GetSlotList(1, None, byref(count)) == host.OK
        assert count.value == 0
    face = ScriptedFace()
    face.answers["C_GetSlotList"] = (host.OK, (1,))
    with host.running(home, face):  # where the killed one has left its socket
        assert loaded.C_GetSlotList(1, None, byref(count)) == host.OK
        assert count.value == 1
        assert loaded.C_Finalize(None) == host.OK


def test_a_rack_that_dies_while_it_is_greeted(loaded: Module, home: Path) -> None:
    place = Home(home)
    with place.listen(SOCKET_NAME) as listener:

        def die() -> None:
            anchor, _ = listener.accept()
            with anchor:
                anchor.recv(1000)
                anchor.sendall(frame(0, OK))
                listener.accept()[0].close()
                listener.close()
                time.sleep(0.1)  # a process that is killed closes one socket after the other

        dying = threading.Thread(target=die)
        dying.start()
        assert loaded.C_Initialize(None) == host.OK
        assert loaded.C_Logout(1) == host.SESSION_HANDLE_INVALID
        dying.join()
        assert loaded.C_Finalize(None) == host.OK
    place.close(SOCKET_NAME)


def test_a_program_without_standard_files_does_not_write_to_the_rack(
    loaded: Module, home: Path
) -> None:
    face = ScriptedFace()
    script = (
        "import ctypes, os, sys; m = ctypes.CDLL(sys.argv[1]); os.closerange(0, 3); "
        "m.C_Initialize(None); m.C_Logout(ctypes.c_ulong(1)); "
        "[os.write(fd, b'x' * 6) for fd in range(3) if os.path.exists(f'/proc/self/fd/{fd}')]; "
        "os._exit(m.C_Logout(ctypes.c_ulong(1)))"
    )
    with host.running(home, face):
        command = [sys.executable, "-c", script, str(loaded.path)]
        done = subprocess.run(
            command, env={**os.environ, "UKEY_HOME": str(home)}, timeout=30, check=False
        )
    assert done.returncode == 0
    assert len(face.calls) == 2


# ---- the rack's side ----


@pytest.fixture
def face(home: Path) -> Iterator[ScriptedFace]:
    face = ScriptedFace()
    with host.running(home, face):
        yield face


def dial(home: Path, *payloads: bytes) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(5)
    connection.connect(str(home / SOCKET_NAME))
    for payload in payloads:
        connection.sendall(payload)
    return connection


def hello(role: int, identity: bytes = b"i" * 16) -> bytes:
    return frame(0, identity + words(1, role) + b"test")


def is_hung_up(connection: socket.socket) -> bool:
    with connection:
        try:
            while connection.recv(100):
                pass
        except ConnectionResetError:
            pass
        return True  # a socket that stays open would time out


@pytest.mark.parametrize(
    "sent",
    [
        b"garbage" * 20,
        frame(SIGN, words(1)),
        frame(0, b"short"),
        frame(0, bytes(16) + words(1, 2) + b"role"),
        frame(0, bytes(16) + words(1, 1) + b"n" * 256),
        hello(0, b"unknown identity"),
        b"\2" + hello(1, b"1" * 16)[1:],
        struct.pack("<BBI", 1, 0, 2**31),
        hello(1, b"2" * 16) + frame(LOGOUT, words(1)),  # not waiting for the answer
    ],
)
def test_whoever_does_not_greet_is_hung_up_on(home: Path, face: ScriptedFace, sent: bytes) -> None:
    assert is_hung_up(dial(home, sent))
    assert face.calls == []


@pytest.mark.parametrize(
    "sent",
    [
        frame(SIGN, words(1)),
        frame(SIGN, words(1, 2**63, 0)),
        frame(200, b""),
        frame(1, b"payload"),
        frame(2, b"payload"),
        frame(3, b""),
        frame(LOGOUT + 128, words(1)),
        frame(LOGOUT, words(1)) * 2,
        frame(LOGOUT, words(1, 2)),
    ],
)
def test_a_broken_call_ends_its_connection_alone(
    home: Path, face: ScriptedFace, sent: bytes
) -> None:
    with dial(home, hello(1)) as anchor:
        assert anchor.recv(100) == frame(0, OK)
        with dial(home, hello(0)) as good:
            assert good.recv(100) == frame(0, OK)
            bad = dial(home, hello(0))
            assert bad.recv(100) == frame(0, OK)
            bad.sendall(sent)
            assert is_hung_up(bad)
            good.sendall(frame(LOGOUT, words(1)))
            assert good.recv(100) == frame(LOGOUT, OK)
            assert (face.calls, face.detached) == ([("C_Logout", (1,))], [])


def test_the_end_of_the_anchor_is_the_end_of_its_threads(home: Path, face: ScriptedFace) -> None:
    anchor = dial(home, hello(1))
    assert anchor.recv(100) == frame(0, OK)
    thread = dial(home, hello(0))
    assert thread.recv(100) == frame(0, OK)
    anchor.close()
    assert is_hung_up(thread)
    assert face.detached == [0]
    assert is_hung_up(dial(home, hello(0)))


def test_an_identity_is_taken_once(home: Path, face: ScriptedFace) -> None:
    with dial(home, hello(1)) as anchor:
        assert anchor.recv(100) == frame(0, OK)
        assert is_hung_up(dial(home, hello(1)))
        assert (len(face.attached), face.detached) == (1, [])


def test_the_socket_is_the_users_alone(home: Path, face: ScriptedFace) -> None:
    assert face.calls == []
    assert stat.S_IMODE((home / SOCKET_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_turned_away(home: Path, face: ScriptedFace) -> None:
    (home / SOCKET_NAME).chmod(0o666)
    home.chmod(0o777)
    script = (
        "import os, socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(5)\n"
        "folder = os.open(sys.argv[1], os.O_PATH); os.setuid(65534)\n"
        f"s.connect(f'/proc/self/fd/{{folder}}/{SOCKET_NAME}')\n"
        "sys.exit(len(s.recv(1)))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(home)], timeout=30, check=False)
    assert done.returncode == 0
    assert face.attached == []


def test_two_racks_do_not_share_a_folder(home: Path, face: ScriptedFace) -> None:
    with pytest.raises(RackError, match="runs already"):
        Home(home)
    dial(home, hello(1)).close()  # the first one still listens
    assert face.calls == []


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RackError, match="cannot be used"):
        Home(tmp_path / "file")
    home = Home(tmp_path / "home")
    (tmp_path / "home" / SOCKET_NAME).write_text("no socket")
    with pytest.raises(RackError, match="in the way"):
        home.listen(SOCKET_NAME)
    home.close()
    assert (tmp_path / "home" / SOCKET_NAME).read_text() == "no socket"

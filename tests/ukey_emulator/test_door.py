"""The way in for programs, which every socket of the rack shares."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ukey_emulator.door import Door


def echo(connection: socket.socket) -> None:
    while piece := connection.recv(16):
        connection.sendall(piece)


class Entrance:
    """A door with an address, and visitors."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "door.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.address)
        listener.listen()
        self.welcome = True
        self.door = Door(listener, echo, lambda _: self.welcome, "a-door")
        self.door.open()

    def visitor(self) -> socket.socket:
        visitor = socket.socket(socket.AF_UNIX)
        visitor.settimeout(5)
        visitor.connect(self.address)
        return visitor


@pytest.fixture
def entrance(tmp_path: Path) -> Iterator[Entrance]:
    made = Entrance(tmp_path)
    yield made
    made.door.shut()
    made.door.hang_up()
    made.door.close(5)


def test_each_is_served(entrance: Entrance) -> None:
    with entrance.visitor() as one, entrance.visitor() as other:
        other.sendall(b"2")
        one.sendall(b"1")
        assert (one.recv(1), other.recv(1)) == (b"1", b"2")


def test_whom_it_does_not_admit(entrance: Entrance) -> None:
    entrance.welcome = False
    with entrance.visitor() as stranger:
        assert stranger.recv(1) == b""
    entrance.welcome = True
    with entrance.visitor() as friend:
        friend.sendall(b"1")
        assert friend.recv(1) == b"1"


def test_it_shuts_once_and_leaves_no_thread(entrance: Entrance) -> None:
    with entrance.visitor() as inside:
        inside.sendall(b"1")
        assert inside.recv(1) == b"1"
        threads = list(entrance.door.threads)
        assert entrance.door.shut()
        assert not entrance.door.shut()
        entrance.door.hang_up()
        assert inside.recv(1) == b""
    entrance.door.close(5)
    assert not any(thread.is_alive() for thread in threads)
    assert not entrance.door.connections
    with pytest.raises(ConnectionRefusedError):
        entrance.visitor()


def test_one_who_comes_while_it_shuts(entrance: Entrance) -> None:
    """Accepted already, but not yet among those whom it hangs up on."""
    entrance.door.shut()
    entrance.door.hang_up()
    inside, outside = socket.socketpair()
    with inside, outside:
        outside.settimeout(5)
        serving = threading.Thread(target=entrance.door.let_in, args=(inside,), daemon=True)
        serving.start()
        assert outside.recv(1) == b""
        serving.join(5)
        assert not serving.is_alive()

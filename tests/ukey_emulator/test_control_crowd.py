"""The control port in a crowd: many requests at once, half ones, and programs that do not read."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ukey_emulator.rack import control
from ukey_emulator.rack.arguments import Number
from ukey_emulator.rack.control import ControlServer
from ukey_emulator.rack.home import Home
from ukey_emulator.rack.requests import Command, numbered
from ukey_emulator.remote import RackProcess, Remote, RemoteError

MANY = 1_000
PLACES = 100
SOON = 20.0


def request(command: str, **arguments: object) -> bytes:
    return json.dumps({"version": 1, "command": command, "arguments": arguments}).encode() + b"\n"


def connect(home: Path) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX)
    connected.connect(str(home / "control.sock"))
    connected.settimeout(SOON)
    return connected


def answers(home: Path, raw: bytes) -> list[Any]:
    """Send these bytes and nothing more; give all that comes until the rack hangs up."""
    with connect(home) as line:
        line.sendall(raw)
        line.shutdown(socket.SHUT_WR)
        with line.makefile("rb") as lines:
            return [json.loads(each) for each in lines]


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SOON
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def threads() -> int:
    return sum(thread.name == "ukey-control" for thread in threading.enumerate())


@pytest.fixture(scope="module")
def running() -> Iterator[RackProcess]:
    with RackProcess.start() as rack_process:
        yield rack_process


def news(since: int, most: int) -> list[Any]:
    return [{"n": n, "text": "x" * 1000} for n in range(since + 1, since + 1 + most)]


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Open a port in this process, which waits only a moment for who does not read."""
    monkeypatch.setattr(control, "_PATIENCE", control.struct.pack("@ll", 0, 200_000))
    place = Home(tmp_path / "home")
    commands = {
        "big": Command(lambda n: "x" * n, {"n": Number(1, 10_000_000)}),
        "echo": Command(lambda n: n, {"n": Number(0, MANY)}),
        "wrong": Command(lambda: 1 // 0),
        "unsayable": Command(object),
        **numbered("news", news),
        **numbered("broken", lambda *_: [{}]),
    }
    server = ControlServer(place, commands)
    yield place.path
    server.stop()
    place.close("control.sock")


def test_a_thousand_requests_are_answered_in_their_order(running: RackProcess) -> None:
    raw = b"".join(request("key.plug", name=f"no-{n}") for n in range(MANY))
    messages = [told["error"]["message"].split(";")[0] for told in answers(running.home, raw)]
    assert messages == [f"there is no key no-{n}" for n in range(MANY)]


def test_programs_at_once_get_each_its_own(running: RackProcess) -> None:
    def work(number: int) -> None:
        with running.remote() as remote:
            for turn in range(5):
                name = f"of-{number}-{turn}"
                key = remote.new_key(name=name, initialized=False)
                assert key.name == name
                assert remote.unplug(name) == remote.unplug(name)
                assert remote.plug(name).serial == key.serial
                remote.remove(name)

    with ThreadPoolExecutor(8) as crew:
        list(crew.map(work, range(8)))
    with running.remote() as remote:
        assert remote.keys() == []
        numbers = [event["n"] for event in remote.events()]
        assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("cut", [1, 10, 30, -2])
def test_a_request_that_breaks_off_is_none(running: RackProcess, cut: int) -> None:
    (told,) = answers(running.home, request("key.new", name="half")[:cut])
    assert told["error"]["code"] == "bad_request"
    with running.remote() as remote:
        assert remote.keys() == []


def test_the_last_newline_may_be_missing(port: Path) -> None:
    assert answers(port, request("echo", n=7)[:-1]) == [{"ok": True, "result": 7}]


def test_a_request_may_come_byte_by_byte(port: Path) -> None:
    with connect(port) as line, line.makefile("rb") as lines:
        for byte in request("echo", n=7):
            line.send(bytes([byte]))
        assert json.loads(lines.readline())["result"] == 7


def test_a_fault_of_the_rack_is_told_and_ends_nothing(
    port: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = [request("wrong"), request("unsayable"), request("broken.follow"), request("echo", n=1)]
    told = answers(port, b"".join(raw))
    assert [each.get("error", {}).get("code") for each in told] == ["failed"] * 3 + [None]
    assert "division" in caplog.text


@pytest.mark.parametrize(
    "asked", [request("big", n=10_000_000), request("news.follow"), request("hello") * 20_000]
)
def test_who_does_not_read_is_hung_up_on_and_holds_up_nobody(port: Path, asked: bytes) -> None:
    before = threads()
    with connect(port) as deaf:
        with suppress(BrokenPipeError):  # where there was more to say than fits into a socket
            deaf.sendall(asked)
        assert answers(port, request("echo", n=7))[0]["result"] == 7
        assert soon(lambda: threads() <= before)


def test_nothing_is_left_of_those_who_have_gone(port: Path) -> None:
    before = threads()
    for raw in (b"", b"{", b"\0" * 70_000, request("news.follow"), request("echo", n=1)) * 20:
        with connect(port) as line:
            line.sendall(raw)
    assert soon(lambda: threads() <= before)


def test_the_client_is_told_that_there_are_too_many(port: Path) -> None:
    crowd = [connect(port) for _ in range(PLACES)]
    for line in crowd:  # each is being served
        line.sendall(request("echo", n=1))
        assert line.recv(100)
    with Remote(port) as remote:
        assert remote._socket.recv(1, socket.MSG_PEEK)  # it has been turned away meanwhile
        with pytest.raises(RemoteError) as refused:
            remote.keys()
        assert refused.value.code == "busy"
    for line in crowd:
        line.close()


def test_a_rack_ends_while_programs_follow_and_stammer(tmp_path: Path) -> None:
    before = threads()
    place = Home(tmp_path / "home")
    server = ControlServer(place, numbered("news", lambda *_: []))
    lines = [connect(place.path) for _ in range(20)]
    for line in lines:
        line.sendall(request("news.follow")[:: -1 if line is lines[0] else 1])
        line.sendall(b"{" if line is lines[1] else b"")
    server.stop()
    place.close("control.sock")
    for line in lines:
        with line, suppress(ConnectionResetError):  # it has not read all that it was sent
            while line.recv(1_000):
                pass
    assert soon(lambda: threads() <= before)

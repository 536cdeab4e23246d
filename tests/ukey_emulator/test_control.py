"""The control port as its document says it: rack/CONTROL.md, spoken over the bare socket."""

import itertools
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from ukey_emulator import module_path, rack
from ukey_emulator.cryptoki.application import Application
from ukey_emulator.rack.home import Code
from ukey_emulator.rack.trace import Trace
from ukey_emulator.remote import RackProcess, Remote, RemoteError
from ukey_emulator.slots import Slots

DOCUMENT = Path(rack.__file__).with_name("CONTROL.md")
VERSION = 1


class Line:
    """A connection to the control port that sends whatever it is told to."""

    def __init__(self, home: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(home / "control.sock"))
        self.socket.settimeout(20)
        self._lines = self.socket.makefile("rb")

    def send(self, raw: bytes) -> None:
        self.socket.sendall(raw)

    def read(self) -> Any:
        return json.loads(self._lines.readline())

    def ask(self, command: object, **arguments: object) -> Any:
        request = {"version": VERSION, "command": command, "arguments": arguments}
        self.send(json.dumps(request).encode() + b"\n")
        return self.read()

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


@pytest.fixture(scope="module")
def running() -> Iterator[RackProcess]:
    with RackProcess.start() as rack_process, rack_process.remote() as remote:
        remote.new_key(name="mine")
        yield rack_process


@pytest.fixture
def line(running: RackProcess) -> Iterator[Line]:
    connected = Line(running.home)
    yield connected
    connected.close()


LAST = "C_GetSlotInfo"


def use(home: Path) -> None:
    """Let a program of its own ask the keys something, at last for one slot."""
    program = "import pkcs11, sys; print(len(list(pkcs11.lib(sys.argv[1]).get_slots())))"
    subprocess.run(
        [sys.executable, "-c", program, module_path()],
        env={**os.environ, "UKEY_HOME": str(home)},
        check=True,
        timeout=30,
        stdout=subprocess.DEVNULL,
    )


def test_hello_says_who_is_here_to_every_version(line: Line, running: RackProcess) -> None:
    for request in (b'{"command": "hello"}\n', b'{"version": 99, "command": "hello"}\n'):
        line.send(request)
        result = line.read()["result"]
        assert result["version"] == VERSION
        assert result["home"] == str(running.home)
        assert "from 1 to 255" in result["commands"]["key.new"]["tries"]


def rows() -> dict[str, str]:
    """Give what stands behind each name in the document's tables."""
    return dict(re.findall(r"^\| `([a-z_.]+)` \| (.+?) \|", DOCUMENT.read_text(), re.MULTILINE))


def test_the_document_tells_of_every_command_argument_and_bound(line: Line) -> None:
    commands = line.ask("hello")["result"]["commands"]
    told = rows()
    assert [name for name in told if name in commands] == list(commands)
    for command, arguments in commands.items():
        words = told[command]
        if words.startswith("as for"):
            words = told[words.split("`")[1]]
        if "as above" in words:
            words += told[command.removesuffix(".follow")]
        named = set(re.findall(r"`([a-z_]+)`(?=[^;(]*:)", words))
        assert named == set(arguments), command
        for argument, allowed in arguments.items():
            if bound := re.search(r"to (\d{1,4})$", allowed):
                assert bound[1] in words, (command, argument)


def test_the_document_tells_of_every_code() -> None:
    document = DOCUMENT.read_text()
    table = document[document.index("| code |") : document.index("## Commands")]
    assert re.findall(r"^\| `([a-z_]+)`", table, re.MULTILINE) == list(get_args(Code))


@pytest.mark.parametrize("version", ["2", "0", "true", "1.0", '"1"', "null"])
def test_another_version_is_told_which_one_is_spoken(line: Line, version: str) -> None:
    line.send(f'{{"version": {version}, "command": "key.list"}}\n'.encode())
    error = line.read()["error"]
    assert (error["code"], error["version"]) == ("version", VERSION)
    assert "version 1" in error["message"]
    assert version in error["message"].replace('\\"', '"')


@pytest.mark.parametrize(
    ("command", "arguments", "code", "message"),
    [
        ("no.such", {}, "unknown_command", '"no.such"; it has: hello, key.list'),
        (["key.list"], {}, "unknown_command", "it has: hello"),
        ("key.list", {"name": "mine"}, "bad_argument", "it has: none"),
        ("key.plug", {}, "bad_argument", "needs the argument name: text of 1 to 64"),
        ("key.plug", {"name": None}, "bad_argument", "name is text of 1 to 64 .*not null"),
        ("key.plug", {"name": "yours"}, "no_such_key", "there are: mine"),
        ("key.plug", {"name": "x" * 65}, "bad_argument", "1 to 64 characters, not .*…"),
        ("key.new", {"name": "mine"}, "key_exists", "choose another name"),
        ("key.new", {"name": "a/b"}, "bad_argument", "letters, digits"),
        ("key.new", {"name": ""}, "bad_argument", "or null"),
        ("key.new", {"colour": "red"}, "bad_argument", '"colour"; it has: name, label, pin'),
        ("key.new", {"tries": True}, "bad_argument", "from 1 to 255, not true"),
        ("key.new", {"tries": 256}, "bad_argument", "from 1 to 255, not 256"),
        ("key.new", {"tries": 3.0}, "bad_argument", "from 1 to 255, not 3.0"),
        ("key.new", {"label": "\ud800"}, "bad_argument", "label is text"),
        ("key.new", {"label": "长" * 11}, "bad_argument", "32 bytes"),
        ("key.new", {"pin": 123456}, "bad_argument", "pin is text"),
        ("key.new", {"pin": "123"}, "bad_argument", "4 to 64"),
        ("key.new", {"initialized": 1}, "bad_argument", "true or false"),
        ("key.new", {"profile": "a\0b.toml"}, "bad_argument", "profile is text"),
        ("key.new", {"profile": "x/" * 2000 + ".toml"}, "bad_argument", "profile"),
        ("key.new", {"profile": "none"}, "bad_argument", "there is no profile"),
        ("trace", {"since": -1}, "bad_argument", "since is a whole number from 0"),
        ("trace", {"most": 1001}, "bad_argument", "from 1 to 1000"),
        ("trace.follow", {"seconds": 3601}, "bad_argument", "from 0 to 3600"),
        ("events.follow", {"most": 0}, "bad_argument", "from 1 to"),
    ],
)
def test_a_wrong_request_is_told_what_is_allowed(
    line: Line, command: object, arguments: dict[str, object], code: str, message: str
) -> None:
    error = line.ask(command, **arguments)["error"]
    assert error["code"] == code
    assert re.search(message, error["message"])
    if "argument" in error:
        assert error["argument"] in {*arguments, "name"}
    assert [key["name"] for key in line.ask("key.list")["result"]] == ["mine"]


@pytest.mark.parametrize(
    "raw",
    [
        b"\n",
        b"\xff\xfe\n",
        b"7\n",
        b'{"version": 1}\n',
        b'{"version": 1, "command": "key.list", "since": 5}\n',
        b'{"version": 1, "command": "key.list", "arguments": []}\n',
        b'{"version": 1, "command": "key.list", "arguments": {"a": ' + b"[" * 50_000 + b"\n",
        b'{"version": 1, "command": "key.list"}' + b" " * 65_536 + b"\n",
        b"x" * 300_000 + b"\n",
    ],
)
def test_what_is_no_request_gets_one_answer_and_the_connection_goes_on(
    line: Line, raw: bytes
) -> None:
    line.send(raw)
    assert line.read()["error"]["code"] == "bad_request"
    assert line.ask("key.list")["ok"]


def test_a_request_may_have_exactly_the_bytes_that_are_allowed(line: Line) -> None:
    request = b'{"version": 1, "command": "key.list"}'
    for raw in (request.ljust(65_536) + b"\n", request.ljust(65_536) + b"\r\n"):
        line.send(raw)
        assert line.read()["ok"]
    line.send(request.ljust(65_537) + b"\n")
    assert line.read()["error"]["code"] == "bad_request"


def test_requests_at_once_are_answered_in_their_order(line: Line) -> None:
    line.send(b'{"command": "hello"}\n{"version": 1, "command": "key.list"}\nno\n')
    line.socket.shutdown(socket.SHUT_WR)
    answers = [line.read() for _ in range(3)]
    assert "release" in answers[0]["result"]
    assert answers[1]["result"][0]["name"] == "mine"
    assert not answers[2]["ok"]


def test_one_connection_too_many_is_told_so() -> None:
    with RackProcess.start() as rack_process:
        lines = [Line(rack_process.home) for _ in range(100)]
        assert all(line.ask("key.list")["ok"] for line in lines)
        crowded = Line(rack_process.home)
        assert crowded.read()["error"]["code"] == "busy"
        crowded.close()
        for line in lines:
            line.close()


def test_events_are_a_stream_that_ends_and_leaves_the_connection_free() -> None:
    with RackProcess.start() as rack_process, rack_process.remote() as remote:
        line = Line(rack_process.home)
        line.send(
            b'{"version": 1, "command": "events.follow", "arguments": {"most": 5, "seconds": 60}}\n'
        )
        line.socket.shutdown(socket.SHUT_WR)  # as `socat` does when its input ends
        key = remote.new_key(name="come")
        assert [line.read()["next"]["event"] for _ in range(2)] == ["added", "plugged"]
        remote.unplug("come")
        remote.plug("come")
        remote.remove("come")
        events = [line.read()["next"] for _ in range(3)]
        assert [event["event"] for event in events] == ["unplugged", "plugged", "unplugged"]
        assert {(event["key"], event["slot"], event["serial"]) for event in events} == {
            ("come", key.slot, key.serial)
        }
        assert line.read()["result"] == {"last": 5, "told": 5}
        line.close()
        assert [event["event"] for event in remote.events(5)] == ["removed"]
        with Remote(rack_process.home) as again:
            assert again.ask("events.follow", since=6, seconds=0) == {"last": 6, "told": 0}
            assert again.keys() == []


def test_calls_are_followed_live(running: RackProcess) -> None:
    with running.remote() as remote:
        before = remote.trace()
        last = before[-1]["n"] if before else 0
        calls = remote.follow_trace(last)
        for _ in range(2):  # the second program comes when the stream is under way
            use(running.home)
            seen = list(itertools.takewhile(lambda call: call["function"] != LAST, calls))
            assert "C_GetSlotList" in {call["function"] for call in seen}
            assert remote.keys()[0].name == "mine"  # beside the stream
        calls.close()  # type: ignore[attr-defined]
        numbers = [call["n"] for call in remote.trace(last)]
        assert numbers == list(range(last + 1, last + 1 + len(numbers)))


def test_a_stream_ends_with_its_rack(tmp_path: Path) -> None:
    with RackProcess.start(tmp_path) as rack_process, rack_process.remote() as remote:
        remote.new_key(name="one")
        events = remote.follow_events()
        assert [next(events)["event"] for _ in range(2)] == ["added", "plugged"]
        rack_process.stop()
        with pytest.raises(RemoteError) as gone:
            list(events)
        assert gone.value.code == "gone"


def test_who_hangs_up_on_a_stream_takes_no_place(running: RackProcess) -> None:
    lines = [Line(running.home) for _ in range(90)]
    for line in lines:
        line.send(b'{"version": 1, "command": "trace.follow", "arguments": {}}\n')
        line.close()
    for _ in range(200):  # that they have gone is seen within a moment
        others = [Line(running.home) for _ in range(90)]
        served = [other.ask("key.list")["ok"] for other in others]
        for other in others:
            other.close()
        if all(served):
            return
    pytest.fail("the places of those who have hung up were not given back")


def test_pages_of_the_trace_leave_nothing_out() -> None:
    trace = Trace()
    app = Application(Slots(), 7, "many")
    for _ in range(2_500):
        trace.note(app, "C_GetInfo", (), 0, 0.0)
    assert [call["n"] for call in trace.since(1_999, 300)] == list(range(2_000, 2_300))
    assert len(trace.since(0)) == 2_500
    assert trace.since(2_500) == trace.since(1 << 53) == []


def test_a_call_that_is_late_is_waited_for() -> None:
    trace = Trace()
    app = Application(Slots(), 7, "threads")
    trace.note(app, "C_GetInfo", (), 0, 0.0)
    late = next(trace._numbers)  # another thread has its number, and is not run for a while
    trace.note(app, "C_GetInfo", (), 0, 0.0)
    assert [call["n"] for call in trace.since(0)] == [1]
    trace._entries.append((late, 0.0, app, "C_GetInfo", [], 0, 0.0))
    assert [call["n"] for call in trace.since(0)] == [1, 2, 3]


def test_a_key_tells_its_profile_wherever_it_is(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[token]\nmodel = 'mine'\n")
    with RackProcess.start(tmp_path / "home") as rack_process, rack_process.remote() as remote:
        remote.new_key(name="usual")
        remote.new_key(name="tiny", profile="tiny")
        remote.new_key(name="mine", profile=mine)
        remote.unplug("tiny")
    with RackProcess.start(tmp_path / "home") as again, again.remote() as remote:
        told = {key.name: key.profile for key in remote.keys()}
        assert told == {"usual": "default", "tiny": "tiny", "mine": "mine"}
        copy = remote.new_key_from(remote.snapshot("tiny").name)
        assert copy.profile == "tiny"


def test_the_client_keeps_the_code_and_names_the_rack(running: RackProcess) -> None:
    with running.remote() as remote:
        assert remote.hello().home == str(running.home)
        with pytest.raises(RemoteError) as refused:
            remote.plug("yours")
        assert refused.value.code == "no_such_key"

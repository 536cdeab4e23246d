"""The control port from the other side: drive a rack, or run one of your own."""

import contextlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, Self, TypedDict, TypeVar

Info = TypeVar("Info")

_VERSION = 1  # of the control port, see rack/CONTROL.md
_PATIENCE = 30.0  # seconds that an answer may take
_CONNECTING = struct.pack("@ll", 30, 0)  # timeval
_PAGE = 1_000  # calls or events in one answer
_MEMBERS = {"returns": "return", "return_": "return", "from_": "from"}
_SPELL = 10  # seconds after which a stream that is quiet shows that the rack still lives


class RemoteError(Exception):
    """The rack refused, or there is none; the message says what to do.

    `code` is that of the control port, or `gone` where no rack answers.
    """

    def __init__(self, message: str, code: str = "gone") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key of the rack; `slot` is the number of the slot that it is in, or belongs into.

    `profile` is the name of the profile that it was made by.
    """

    name: str
    label: str
    serial: str
    slot: int
    plugged: bool
    profile: str


@dataclass(frozen=True, slots=True)
class PadInfo:
    """The PIN pad of a key: how much is still to be typed, and whether a call waits for it."""

    key: str
    queued: int
    asking: bool


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """A snapshot: the name and serial number of the key that it is of, and when it was taken."""

    name: str
    key: str
    serial: str
    made: str


@dataclass(frozen=True, slots=True)
class FaultInfo:
    """A fault that is armed: its words, what it has met, where it happened, what hangs in it."""

    name: str
    members: dict[str, Any]
    met: int
    fired: int
    waiting: int


@dataclass(frozen=True, slots=True)
class RackInfo:
    """A rack: the version of its control port, its release and folder, and what it can do.

    `commands` says of each command what its arguments may be.
    """

    version: int
    release: str
    home: str
    commands: dict[str, dict[str, str]]


class Pin(TypedDict):
    """How many tries a PIN has left, of how many."""

    left: int
    tries: int


class Use(TypedDict):
    """A program with sessions on a key; `login` is user, SO or None."""

    pid: int
    program: str
    sessions: int
    login: str | None


class SlotStatus(TypedDict):
    """A slot: `name` is that of the key it is for, `key` of the one in it, None where none is."""

    slot: int
    name: str
    key: str | None
    reader: str | None
    label: str | None
    serial: str | None
    user: Pin | None
    so: Pin | None
    programs: list[Use]
    card: bool


class Status(TypedDict):
    """A rack as it is now; `keys` and `programs` are how many, `calls` how many so far."""

    home: str
    keys: int
    programs: int
    calls: int
    slots: list[SlotStatus]


class Call(TypedDict):
    """A call of a program (`pid`, `program`) or a command of a card; `us` is microseconds.

    `key` is the name of the key that it went to, if that is known; `results` are there at the
    level `traffic` alone.
    """

    n: int
    time: float
    pid: int
    program: str
    key: str | None
    function: str
    arguments: dict[str, Any]
    rv: str
    us: int
    results: NotRequired[dict[str, Any]]


class Event(TypedDict):
    """What became of a key: `event` is added, plugged, unplugged or removed."""

    n: int
    time: float
    event: str
    key: str
    slot: int
    serial: str | None


class Remote:
    """A connection to the control port of the rack that serves `home`; CONTROL.md is the protocol.

    To drive a rack that `ukey rack` or `ukey run` has started, or a RackProcess:

        with Remote(Path(os.environ["UKEY_HOME"])) as rack:
            key = rack.new_key(label="mine")          # plugged in, PIN 123456
            snapshot = rack.snapshot(key.name)
            rack.unplug(key.name)
            rack.rewind(key.name, snapshot.name)
            for call in rack.follow_trace():          # as programs make them
                print(call["function"], call["rv"])

    Everything raises RemoteError when the rack refuses (`code` says why) or has gone (`gone`).
    Threads may share a connection, one waits for the other; there may be many connections.
    `close`, or leaving the block, hangs up; the rack and its keys go on.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Where many come at once, connecting takes a moment; without this it could take forever.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _CONNECTING)
        folder = -1
        try:
            # Through the folder's descriptor a path of any length fits a socket's address.
            folder = os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._socket.connect(f"/proc/self/fd/{folder}/control.sock")
        except BlockingIOError as error:
            self._socket.close()
            raise RemoteError(f"the rack at {home} lets nobody in: it hangs") from error
        except OSError as error:
            self._socket.close()
            raise RemoteError(
                f"no rack is listening at {home}; start one with 'ukey rack --home {home}'"
            ) from error
        finally:
            if folder >= 0:
                os.close(folder)
        self._socket.settimeout(_PATIENCE)
        self._lines = self._socket.makefile("rb")

    def hello(self) -> RackInfo:
        """Ask the rack what it is and what it can do."""
        return _known(RackInfo, self._ask("hello"))

    def keys(self) -> list[KeyInfo]:
        """List the keys of the rack."""
        return [_known(KeyInfo, key) for key in self._ask("key.list")]

    def new_key(
        self,
        *,
        name: str | None = None,
        label: str | None = None,
        pin: str | None = None,
        so_pin: str | None = None,
        tries: int | None = None,
        initialized: bool = True,
        profile: str | Path = "default",
    ) -> KeyInfo:
        """Make a fresh key and plug it in; `tries` holds for both PINs.

        What is None is as the profile says: PINs 123456 and 12345678 and ten tries in most.

        `profile` is the name of a profile or the path of its file, which ends in .toml.
        """
        if str(profile).endswith(".toml"):
            profile = Path(profile).absolute()  # the rack may stand in another folder
        wanted = {"label": label, "pin": pin, "so_pin": so_pin, "tries": tries}
        told = self._ask(
            "key.new",
            name=name,
            initialized=initialized,
            profile=str(profile),
            **{each: value for each, value in wanted.items() if value is not None},
        )
        return _known(KeyInfo, told)

    def plug(self, name: str, slot: int | None = None) -> KeyInfo:
        """Plug a key in, into the slot of that number or else its own."""
        wanted = {} if slot is None else {"slot": slot}
        return _known(KeyInfo, self._ask("key.plug", name=name, **wanted))

    def unplug(self, name: str) -> KeyInfo:
        """Pull a key out."""
        return _known(KeyInfo, self._ask("key.unplug", name=name))

    def remove(self, name: str) -> None:
        """Delete a key for good."""
        self._ask("key.remove", name=name)

    def new_key_from(
        self, snapshot: str, *, name: str | None = None, label: str | None = None
    ) -> KeyInfo:
        """Make a key that is as a snapshot is, but for its serial number, and plug it in."""
        return _known(KeyInfo, self._ask("key.new_from", snapshot=snapshot, name=name, label=label))

    def reset(self, name: str) -> KeyInfo:
        """Have a key be as it left the factory; for programs it is a pull and a plug."""
        return _known(KeyInfo, self._ask("key.reset", name=name))

    def enter_pin(self, name: str, pin: str) -> PadInfo:
        """Type a PIN on the pad of a key, for the call that asks for one, now or next."""
        return _known(PadInfo, self._ask("pad.enter", name=name, pin=pin))

    def press(self, name: str, button: str) -> PadInfo:
        """Press `cancel` on the pad of a key, or let its time run out: `timeout`."""
        return _known(PadInfo, self._ask("pad.press", name=name, button=button))

    def pad(self, name: str) -> PadInfo:
        """Tell of the pad of a key."""
        return _known(PadInfo, self._ask("pad.show", name=name))

    def snapshot(self, name: str, snapshot: str | None = None) -> SnapshotInfo:
        """Copy a key as it is now, under a name; NAME-1, NAME-2… if none is given."""
        return _known(SnapshotInfo, self._ask("key.snapshot", name=name, snapshot=snapshot))

    def rewind(self, name: str, snapshot: str | None = None) -> KeyInfo:
        """Put a key back into a snapshot's state, its own newest if none is given.

        For programs it is a pull and a plug.
        """
        return _known(KeyInfo, self._ask("key.rewind", name=name, snapshot=snapshot))

    def snapshots(self) -> list[SnapshotInfo]:
        """List the snapshots, the oldest first."""
        return [_known(SnapshotInfo, each) for each in self._ask("snapshot.list")]

    def remove_snapshot(self, name: str) -> None:
        """Delete a snapshot for good; keys made from it stay."""
        self._ask("snapshot.remove", name=name)

    def add_fault(self, **members: object) -> FaultInfo:
        """Arm a fault: CONTROL.md tells its members; `returns` and `from_` stand for Python's."""
        told = {_MEMBERS.get(member, member): value for member, value in members.items()}
        return _known(FaultInfo, self._ask("fault.add", **told))

    def load_faults(self, plan: Path | str) -> list[FaultInfo]:
        """Arm the faults of a plan in TOML, by its path or its text: all of them or none."""
        try:
            text = plan.read_text(encoding="utf-8") if isinstance(plan, Path) else plan
        except (OSError, UnicodeDecodeError) as error:
            raise RemoteError(f"the plan cannot be read: {error}", "bad_argument") from error
        return [_known(FaultInfo, each) for each in self._ask("fault.load", plan=text)]

    def faults(self) -> list[FaultInfo]:
        """List the faults that are armed."""
        return [_known(FaultInfo, each) for each in self._ask("fault.list")]

    def clear_faults(self, name: str | None = None) -> list[FaultInfo]:
        """Disarm a fault, or all; give how they ended."""
        return [_known(FaultInfo, each) for each in self._ask("fault.clear", name=name)]

    def release(self, name: str | None = None) -> int:
        """Let the calls go on that hang in a fault, or in any; give how many."""
        return int(self._ask("fault.release", name=name))

    def ask(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Have any command of the control port carried out; `hello` tells which there are."""
        return self._ask(command, **arguments)

    def status(self) -> Status:
        """Tell what the rack looks like now: slots, keys, PIN tries, who is logged in."""
        told: Status = self._ask("rack.status")
        return told

    def trace(self, since: int = 0) -> list[Call]:
        """Give the calls that the rack has seen after number `since`."""
        return self._pages("trace", since)

    def calls(self, since: int, most: int) -> list[Call]:
        """Give at most so many calls after number `since`, 1,000 at the most."""
        found: list[Call] = self._ask("trace", since=since, most=most)
        return found

    def trace_exactly(self, exact: bool = True) -> None:  # noqa: FBT001, FBT002 - a switch
        """Have each call in the trace once it has returned, at the price of slower calls; or not.

        Otherwise what the module answers from memory comes with the next call of its thread.
        """
        self._ask("trace.exact", exact=exact)

    def trace_level(self, level: str | None = None) -> str:
        """Switch how much the trace tells, `calls` or `traffic`, if told; give what holds.

        At `traffic` the trace tells PINs, keys, data and results, and calls are slower.
        """
        return str(self._ask("trace.level", **({} if level is None else {"level": level})))

    def events(self, since: int = 0) -> list[Event]:
        """Give what became of the keys after number `since`."""
        return self._pages("events", since)

    def follow_trace(self, since: int = 0) -> Iterator[Call]:
        """Give the calls after number `since` as they come, until the iterator is closed.

        A number that is left out belongs to a call that the rack has forgotten meanwhile.
        """
        return self._follow("trace.follow", since)

    def follow_events(self, since: int = 0) -> Iterator[Event]:
        """Give what becomes of the keys after number `since`, until the iterator is closed."""
        return self._follow("events.follow", since)

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._lines.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pages(self, command: str, since: int) -> list[Any]:
        found: list[Any] = []
        while True:
            page = self._ask(command, since=since, most=_PAGE)
            found += page
            if len(page) < _PAGE:
                return found
            since = page[-1]["n"]

    def _follow(self, command: str, since: int) -> Iterator[Any]:
        """Follow over a connection of its own, so that this one stays free for questions."""
        with type(self)(self._home) as line:
            while True:
                line._send(command, {"since": since, "seconds": _SPELL})  # noqa: SLF001 - our own
                while "next" in (answer := line._receive()):  # noqa: SLF001
                    since = answer["next"]["n"]
                    yield answer["next"]

    def _ask(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 - whatever JSON holds
        with self._lock:
            self._send(command, arguments)
            return self._receive()["result"]

    def _send(self, command: str, arguments: Mapping[str, object]) -> None:
        request = {"version": _VERSION, "command": command, "arguments": arguments}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            self._receive()  # the rack has said why it has hung up
            raise RemoteError("the rack has gone") from None
        except OSError as error:
            raise RemoteError(f"the rack does not answer: {error}") from error

    def _receive(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise RemoteError(f"the rack does not answer: {error}") from error
        if not line:
            raise RemoteError("the rack has gone")
        try:
            answer: dict[str, Any] = json.loads(line)
            if answer["ok"]:
                return answer
            told = answer["error"]
            refusal = RemoteError(told["message"], told["code"])
        except (ValueError, KeyError, TypeError) as error:
            raise RemoteError(
                "what answers is no rack, or one of another version", "version"
            ) from error
        raise refusal


def _known(kind: type[Info], told: dict[str, Any]) -> Info:
    """Take what we know; a newer rack of this version may tell more."""
    return kind(**{name: told[name] for name in kind.__annotations__ if name in told})


class RackProcess:
    """A rack in a process of its own, which ends with this one.

    Make one with `start`, end it with `stop` or as a context manager. Without a home of yours it
    gets a private one, which is deleted at the end. `pid` is its process.
    """

    def __init__(self, home: Path, process: "subprocess.Popen[bytes]", *, private: bool) -> None:
        self.home = home
        self.pid = process.pid
        self._process = process
        self._private = private

    @classmethod
    def start(cls, home: Path | None = None) -> Self:
        """Start a rack and wait until it listens; RemoteError if it does not come up."""
        private = home is None
        folder = Path(tempfile.mkdtemp(prefix="ukey-")) if home is None else home
        # The rack ends when its standard input does, so that it never outlives this process.
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "ukey_emulator.rack",
                str(folder),
                "passing" if private else "lasting",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        rack = cls(folder, process, private=private)
        assert process.stdout is not None  # noqa: S101 - for the type checker
        if process.stdout.readline().strip() != b"ready":
            rack.stop()
            raise RemoteError(f"the rack at {folder} did not come up; see its message above")
        return rack

    @property
    def readers_socket(self) -> Path:
        """Where its readers are: what PCSCLITE_CSOCK_NAME says to programs."""
        return self.home.absolute() / "pcscd.comm"

    def remote(self) -> Remote:
        """Connect to its control port."""
        return Remote(self.home)

    def stop(self) -> None:
        """End the rack, and delete its home if that is private."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)
        if self._private:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

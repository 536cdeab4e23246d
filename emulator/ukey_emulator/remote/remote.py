"""A connection to the control port of a rack."""

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from .told import Call, Event, FaultInfo, KeyInfo, PadInfo, RackInfo, SnapshotInfo, Status

Info = TypeVar("Info")

_VERSION = 1  # of the control port, see rack/CONTROL.md
_PATIENCE = 30.0  # seconds that an answer may take
_CONNECTING = struct.pack("@ll", 30, 0)  # timeval
_PAGE = 1_000  # calls or events in one answer
_MEMBERS = {"returns": "return", "from_": "from"}  # words of Python's own
_SPELL = 10  # seconds after which a stream that is quiet shows that the rack still lives


class RemoteError(Exception):
    """The rack refused, or there is none; the message says what to do.

    `code` is that of the control port, or `gone` where no rack answers.
    """

    def __init__(self, message: str, code: str = "gone") -> None:
        super().__init__(message)
        self.code = code


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
        return _known(RackInfo, self.ask("hello"))

    def ask(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Have any command of the control port carried out; `hello` tells which there are."""
        with self._lock:
            self._send(command, arguments)
            return self._receive()["result"]

    def keys(self) -> list[KeyInfo]:
        """List the keys of the rack."""
        return [_known(KeyInfo, key) for key in self.ask("key.list")]

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
        told = self.ask(
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
        return _known(KeyInfo, self.ask("key.plug", name=name, **wanted))

    def unplug(self, name: str) -> KeyInfo:
        """Pull a key out."""
        return _known(KeyInfo, self.ask("key.unplug", name=name))

    def remove(self, name: str) -> None:
        """Delete a key for good."""
        self.ask("key.remove", name=name)

    def new_key_from(
        self, snapshot: str, *, name: str | None = None, label: str | None = None
    ) -> KeyInfo:
        """Make a key that is as a snapshot is, but for its serial number, and plug it in."""
        return _known(KeyInfo, self.ask("key.new_from", snapshot=snapshot, name=name, label=label))

    def reset(self, name: str) -> KeyInfo:
        """Have a key be as it left the factory; for programs it is a pull and a plug."""
        return _known(KeyInfo, self.ask("key.reset", name=name))

    def enter_pin(self, name: str, pin: str) -> PadInfo:
        """Type a PIN on the pad of a key, for the call that asks for one, now or next."""
        return _known(PadInfo, self.ask("pad.enter", name=name, pin=pin))

    def press(self, name: str, button: str) -> PadInfo:
        """Press `cancel` on the pad of a key, or let its time run out: `timeout`."""
        return _known(PadInfo, self.ask("pad.press", name=name, button=button))

    def pad(self, name: str) -> PadInfo:
        """Tell of the pad of a key."""
        return _known(PadInfo, self.ask("pad.show", name=name))

    def snapshot(self, name: str, snapshot: str | None = None) -> SnapshotInfo:
        """Copy a key as it is now, under a name; NAME-1, NAME-2… if none is given."""
        return _known(SnapshotInfo, self.ask("key.snapshot", name=name, snapshot=snapshot))

    def rewind(self, name: str, snapshot: str | None = None) -> KeyInfo:
        """Put a key back into a snapshot's state, its own newest if none is given.

        For programs it is a pull and a plug.
        """
        return _known(KeyInfo, self.ask("key.rewind", name=name, snapshot=snapshot))

    def snapshots(self) -> list[SnapshotInfo]:
        """List the snapshots, the oldest first."""
        return [_known(SnapshotInfo, each) for each in self.ask("snapshot.list")]

    def remove_snapshot(self, name: str) -> None:
        """Delete a snapshot for good; keys made from it stay."""
        self.ask("snapshot.remove", name=name)

    def add_fault(self, **members: object) -> FaultInfo:
        """Arm a fault: CONTROL.md tells its members; `returns` and `from_` stand for Python's."""
        told = {_MEMBERS.get(member, member): value for member, value in members.items()}
        return _known(FaultInfo, self.ask("fault.add", **told))

    def load_faults(self, plan: Path | str) -> list[FaultInfo]:
        """Arm the faults of a plan in TOML, by its path or its text: all of them or none."""
        try:
            text = plan.read_text(encoding="utf-8") if isinstance(plan, Path) else plan
        except (OSError, UnicodeDecodeError) as error:
            raise RemoteError(f"the plan cannot be read: {error}", "bad_argument") from error
        return [_known(FaultInfo, each) for each in self.ask("fault.load", plan=text)]

    def faults(self) -> list[FaultInfo]:
        """List the faults that are armed."""
        return [_known(FaultInfo, each) for each in self.ask("fault.list")]

    def clear_faults(self, name: str | None = None) -> list[FaultInfo]:
        """Disarm a fault, or all; give how they ended."""
        return [_known(FaultInfo, each) for each in self.ask("fault.clear", name=name)]

    def release(self, name: str | None = None) -> int:
        """Let the calls go on that hang in a fault, or in any; give how many."""
        return int(self.ask("fault.release", name=name))

    def status(self) -> Status:
        """Tell what the rack looks like now: slots, keys, PIN tries, who is logged in."""
        told: Status = self.ask("rack.status")
        return told

    def trace(self, since: int = 0, most: int | None = None) -> list[Call]:
        """Give the calls that the rack has seen after number `since`, at most so many if told."""
        return self._pages("trace", since, most)

    def trace_exactly(self, exact: bool = True) -> None:  # noqa: FBT001, FBT002 - a switch
        """Have each call in the trace once it has returned, at the price of slower calls; or not.

        Otherwise what the module answers from memory comes with the next call of its thread.
        """
        self.ask("trace.exact", exact=exact)

    def trace_level(self, level: str | None = None) -> str:
        """Switch how much the trace tells, `calls` or `traffic`, if told; give what holds.

        At `traffic` the trace tells PINs, keys, data and results, and calls are slower.
        """
        return str(self.ask("trace.level", **({} if level is None else {"level": level})))

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

    def _pages(self, command: str, since: int, most: int | None = None) -> list[Any]:
        found: list[Any] = []
        while most is None or len(found) < most:
            wanted = _PAGE if most is None else min(_PAGE, most - len(found))
            page = self.ask(command, since=since, most=wanted)
            found += page
            if len(page) < wanted:
                break
            since = page[-1]["n"]
        return found

    def _follow(self, command: str, since: int) -> Iterator[Any]:
        """Follow over a connection of its own, so that this one stays free for questions."""
        with type(self)(self._home) as line:
            while True:
                line._send(command, {"since": since, "seconds": _SPELL})  # noqa: SLF001 - our own
                while "next" in (answer := line._receive()):  # noqa: SLF001
                    since = answer["next"]["n"]
                    yield answer["next"]

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

"""The fuzz target of all that the rack decodes: calls, the stream of a connection, control lines.

The first byte of an input says what the rest is: the number of a function, whose payload follows,
or one of the words below. What does not follow PROTOCOL.md is a WireError, and ends its connection;
a line that is no request is answered so. Nothing else may come of it.
"""

import contextlib
import json
import socket
from typing import Any

from ukey_emulator.cryptoki.wire import (
    FUNCTIONS,
    Attribute,
    Mechanism,
    Misfit,
    Out,
    Parameter,
    Query,
    WireError,
    decode,
)
from ukey_emulator.rack.commands import commands
from ukey_emulator.rack.faults import RackFaults
from ukey_emulator.rack.home import RackError
from ukey_emulator.rack.requests import LONGEST, LONGEST_WAIT, Stream, answer, hello
from ukey_emulator.rack.server import ModuleServer

STREAM, CONTROL = 0, 255

_PARAMETER = (bytes, Parameter, Misfit, type(None))
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(["SLOT", "SESSION", "ULONG"], (int,)),
    **dict.fromkeys(["DATA", "OPTIONAL_DATA", "PIN", "LABEL", "NAME"], (bytes, type(None))),
    **dict.fromkeys(["DATA_OUT", "LIST_OUT", "FOUND_OUT"], (Out,)),
    **dict.fromkeys(["TEMPLATE", "QUERY"], (list, type(None))),
    **dict.fromkeys(["SEAL_PARAMETER", "OPEN_PARAMETER"], _PARAMETER),
    "FILL": (int, type(None)),
}


class _Face:
    """Answers every call with CKR_OK and nothing."""

    def attach(self, application_id: bytes, pid: int, name: str) -> None:
        assert (type(application_id), type(pid), type(name)) == (bytes, int, str)

    def detach(self, application: None) -> None:
        pass

    def call(
        self, application: None, function_name: str, args: tuple[Any, ...]
    ) -> tuple[int, tuple[Any, ...]]:
        assert application is None
        assert function_name
        assert isinstance(args, tuple)
        return 0, ()

    def keep_promise(self, application: None, function_name: str, args: tuple[Any, ...]) -> None:
        self.call(application, function_name, args)


def TestOneInput(data: bytes) -> None:  # noqa: N802 - what a fuzzer calls it
    """Decode one input; whatever is raised is a finding."""
    if not data:
        return
    if data[0] == STREAM:
        _stream(data[1:])
    elif data[0] == CONTROL:
        _control(data[1:])
    elif data[0] in FUNCTIONS:
        _call(data[0], data[1:])


def _call(number: int, payload: bytes) -> None:
    function = FUNCTIONS[number]
    try:
        values = decode(function, payload)
    except WireError:
        return
    for argument, value in zip(function.arguments, values, strict=True):
        kinds = (Mechanism, type(None)) if "MECHANISM" in argument.kind else (bool,)
        kinds = (bool,) if argument.kind == "MECHANISM_INFO" else kinds
        assert isinstance(value, _TYPES.get(argument.kind, kinds)), (argument, value)
        _bounded(value, len(payload))


def _bounded(value: Any, size: int) -> None:
    """No value holds more than the payload brought."""
    if isinstance(value, bytes):
        assert len(value) <= size
    elif isinstance(value, Mechanism):
        _bounded(value.parameter, size)
    elif isinstance(value, Parameter):
        for field in value.fields:
            _bounded(field, size)
    elif isinstance(value, list):
        assert 24 * len(value) <= size
        for item in value:
            _bounded(item.value if isinstance(item, Attribute) else item.nested, size)
            assert isinstance(item, Attribute | Query)


def _stream(data: bytes) -> None:
    """Let a connection bring these bytes and end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        with contextlib.suppress(WireError):
            ModuleServer(None, _Face())._talk(ours)  # type: ignore[arg-type]


class _Part:
    """A rack, or a part of one, that has no key: what it is asked has been decoded."""

    def __getattr__(self, name: str) -> "_Part":
        return _Part()

    def __call__(self, *_: Any, **__: Any) -> None:
        raise RackError("there is no key", "no_such_key")


_PART: Any = _Part()
_COMMANDS = commands(
    _PART,
    _PART,
    faults=RackFaults(_PART, _PART),
    trace=_PART,
    tracing=_PART,
    events=_PART,
    status=_PART,
)
_COMMANDS["hello"] = hello("/home", _COMMANDS)


def _control(line: bytes) -> None:
    told = answer(line, _COMMANDS)
    if isinstance(told, Stream):
        assert told.since >= 0
        assert told.most > 0
        assert 0 <= told.seconds <= LONGEST_WAIT
        return
    assert len(told) <= LONGEST
    assert told.count(b"\n") == 1
    message = json.loads(told)
    if not message["ok"]:
        assert message["error"]["message"]
        assert message["error"]["code"] != "failed"

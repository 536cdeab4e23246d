"""What the control port is asked, and its answers: CONTROL.md, without any socket."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any, TypeVar

from .arguments import GREATEST, Kind, Number
from .home import BAD_ARGUMENT, Code, RackError

Done = TypeVar("Done")

_log = logging.getLogger(__name__)

VERSION = 1
LONGEST = 1 << 16  # bytes of a request, its newline not counted
HELLO = "hello"
PAGE = 1_000  # calls or events in one answer
LONGEST_WAIT = 3_600  # seconds that a stream may go on
_SHOWN = 40  # characters of what is wrong

_FORM = 'a request is one line of JSON like {"version": 1, "command": "key.list", "arguments": {}}'


class RequestError(Exception):
    """A request that cannot be carried out: a code for programs, a message for people."""

    def __init__(self, code: Code, message: str, **facts: object) -> None:
        super().__init__(message)
        self.code = code
        self.facts = facts


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the control port: what carries it out, and what it may be told by name.

    What `run` gives is the result: anything that JSON holds, dataclasses too, or a Stream.
    """

    run: Callable[..., Any]
    arguments: Mapping[str, Kind] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """What a command gives that goes on: what is numbered after `since`, as it comes.

    It ends after `most` of them or after so many seconds, whichever is first. `read` takes the last
    number that was told and how many to give at most.
    """

    read: Callable[[int, int], list[Any]]
    since: int
    most: int
    seconds: int


def numbered(name: str, read: Callable[[int, int], list[Any]]) -> dict[str, Command]:
    """Give two commands for what is numbered: `name` tells what is there, `name.follow` goes on.

    `read` takes the last number that is known and how many to give at most.
    """
    since = Number(0, GREATEST)

    def page(since: int = 0, most: int = PAGE) -> list[Any]:
        return read(since, most)

    def follow(since: int = 0, most: int = GREATEST, seconds: int = LONGEST_WAIT) -> Stream:
        return Stream(read, since, most, seconds)

    return {
        name: Command(page, {"since": since, "most": Number(1, PAGE)}),
        f"{name}.follow": Command(
            follow,
            {
                "since": since,
                "most": Number(1, GREATEST),
                "seconds": Number(0, LONGEST_WAIT),
            },
        ),
    }


def hello(home: str, commands: Mapping[str, Command]) -> Command:
    """Give the command that tells who is here; it is answered to every version."""
    known = {
        name: {argument: kind.allowed for argument, kind in command.arguments.items()}
        for name, command in [(HELLO, Command(dict)), *commands.items()]
    }
    return Command(
        lambda: {"version": VERSION, "release": _release(), "home": home, "commands": known}
    )


def _release() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - slow, and seldom asked

    return version("ukeylab")


def answer(line: bytes, commands: Mapping[str, Command]) -> bytes | Stream:
    """Carry out a request; give the answer's line, or the stream that goes before it."""

    def carried_out() -> bytes | Stream:
        result = _carry_out(line, commands)
        return result if isinstance(result, Stream) else written({"ok": True, "result": result})

    return attempt(carried_out)


def attempt(work: Callable[[], Done]) -> Done | bytes:
    """Give what a piece of work gives, or the line that tells why it could not be done."""
    try:
        return work()
    except RequestError as error:
        return refused(error)
    except RackError as error:
        return refused(RequestError(error.code, str(error)))
    except Exception as error:  # noqa: BLE001 - a mistake in one command must not end the others
        _log.exception("a command failed inside the rack")
        return refused(RequestError("failed", f"the rack failed: {error}"))


def refused(error: RequestError) -> bytes:
    """Give the answer's line that tells of an error."""
    return written(
        {"ok": False, "error": {"code": error.code, "message": str(error), **error.facts}}
    )


def written(message: dict[str, Any]) -> bytes:
    """Give a message as the line that is sent; dataclasses in it become objects."""
    return json.dumps(message, default=_plain).encode() + b"\n"


def _plain(result: object) -> object:
    if is_dataclass(result) and not isinstance(result, type):
        return asdict(result)
    raise TypeError(f"{type(result).__name__} cannot be told in JSON")


def _carry_out(line: bytes, commands: Mapping[str, Command]) -> object:
    request = _read(line)
    name = request.get("command")
    if name != HELLO:
        _check_version(request)
    if not isinstance(name, str) or name not in commands:
        known = ", ".join(commands)
        raise RequestError(
            "unknown_command", f"the control port has no command {_shown(name)}; it has: {known}"
        )
    command = commands[name]
    return command.run(**_checked(name, request.get("arguments", {}), command.arguments))


def _read(line: bytes) -> dict[str, Any]:
    if len(line.rstrip(b"\r\n")) > LONGEST:
        raise RequestError("bad_request", f"a request has at most {LONGEST} bytes")
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise RequestError("bad_request", _FORM) from None
    if not isinstance(request, dict) or "command" not in request:
        raise RequestError("bad_request", _FORM)
    if strangers := request.keys() - {"version", "command", "arguments"}:
        named = ", ".join(map(_shown, sorted(strangers)))
        raise RequestError(
            "bad_request", f"a request has version, command and arguments, but no {named}"
        )
    return request


def _check_version(request: dict[str, Any]) -> None:
    version = request.get("version")
    if type(version) is int and version == VERSION:
        return
    told = f"the request is of version {_shown(version)}" if "version" in request else "it has none"
    raise RequestError(
        "version",
        f'a request names version {VERSION} of the control port, as in "version": {VERSION}; '
        f"{told}",
        version=VERSION,
    )


def _checked(name: str, told: object, arguments: Mapping[str, Kind]) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise RequestError("bad_request", "arguments are an object: names and their values")
    for argument, value in told.items():
        kind = arguments.get(argument)
        if kind is None:
            known = ", ".join(arguments) or "none"
            raise _bad(argument, f"{name} has no argument {_shown(argument)}; it has: {known}")
        if not kind.fits(value):
            raise _bad(argument, f"{name}: {argument} is {kind.allowed}, not {_shown(value)}")
    for argument, kind in arguments.items():
        if kind.required and argument not in told:
            raise _bad(argument, f"{name} needs the argument {argument}: {kind.allowed}")
    return told


def _bad(argument: str, message: str) -> RequestError:
    return RequestError(BAD_ARGUMENT, message, argument=argument[:64])


def _shown(value: object) -> str:
    shown = json.dumps(value)
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"

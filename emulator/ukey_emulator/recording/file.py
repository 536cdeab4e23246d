"""Files of what was called: a header, then a line of JSON for each call (README.md).

Recordings are written by the recording module, traces by `ukey trace --out`.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Self

from ukey_emulator.cryptoki import readable
from ukey_emulator.cryptoki.readable import Detail
from ukey_emulator.cryptoki.wire import FUNCTIONS, Function, WireError, decode

from .answers import read_answer

RECORDING, TRACE = "recording", "trace"
LEVELS = ("calls", "replay", "traffic")

_VERSION = 1  # of both
_WRITER = {RECORDING: "ukey record", TRACE: "ukey trace --out"}
_MOST_PAYLOAD = 256 * 1024 * 1024
_NAMED = {function.name: function for function in FUNCTIONS.values()}


class RecordingError(Exception):
    """The file is no recording, or cannot be used for this; the message says why."""


@dataclass(frozen=True)
class Call:
    """One call: who made it and when, and request and answer where the level tells them.

    `n` counts the calls of a process in the order in which they began, `time` is when this one
    began, in seconds of the Unix epoch, `us` how many microseconds it took.
    """

    n: int
    time: float
    us: int
    pid: int
    tid: int
    program: str
    function: Function
    rv: int
    request: bytes | None
    answer: bytes | None

    @cached_property
    def arguments(self) -> tuple[Any, ...]:
        """What was asked, as `decode` gives it; WireError if the request is none."""
        return decode(self.function, self.request or b"")

    @cached_property
    def results(self) -> tuple[Any, ...]:
        """What was given, as `encode` takes it; WireError if the answer is none."""
        if self.answer is None:
            return ()
        return read_answer(self.function, self.arguments, self.answer)[1]

    def as_json(self, detail: Detail = Detail.CALLS) -> dict[str, Any]:
        """Word it as the rack's trace does, with its results."""
        told: dict[str, Any] = {}
        given: dict[str, Any] = {}
        if self.request is not None:
            told = readable.arguments(self.function, self.arguments, detail=detail)
            given = readable.results(self.function, self.arguments, self.results, detail=detail)
        return {
            "n": self.n,
            "time": self.time,
            "pid": self.pid,
            "program": self.program,
            "function": self.function.name,
            "arguments": told,
            "rv": readable.code_name(self.rv),
            "results": given,
            "us": self.us,
        }


@dataclass(frozen=True)
class Recording:
    """What a file holds; `interfaces` are those that the module offered: major, minor, flags."""

    level: str
    module: str
    interfaces: list[tuple[int, int, int]]
    calls: list[Call]
    lost: int

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file; RecordingError if it is no recording of this version."""
        lines = _lines(path)
        header = _header(path, lines, RECORDING)
        if header.get("level") not in LEVELS:
            raise RecordingError(f"{path} is a recording of another level than {', '.join(LEVELS)}")
        interfaces: list[tuple[int, int, int]] = []
        calls: list[Call] = []
        lost = 0
        for number, entry in _entries(path, lines[1:]):
            try:
                lost += int(entry.get("lost", 0))
                if "interfaces" in entry:
                    interfaces = interfaces or [_interface(each) for each in entry["interfaces"]]
                else:
                    calls.append(_call(entry))
            except (KeyError, ValueError, TypeError, WireError) as error:
                raise RecordingError(f"{path}, line {number}: {error!r}") from error
        return cls(header["level"], str(header.get("module", "")), interfaces, calls, lost)


def begin(path: Path, form: str, **facts: str) -> IO[str]:
    """Make such a file anew, for its owner alone, with its header; OSError where that cannot be."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    stream = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    header = {"ukey": form, "version": _VERSION, **facts, "made": made}
    stream.write(f"{json.dumps(header, ensure_ascii=False)}\n")
    return stream


def is_trace(path: Path) -> bool:
    """Tell whether a file is a trace, by its header; RecordingError if it has none."""
    return bool(_form(path, _lines(path))["ukey"] == TRACE)


def read_trace(path: Path) -> list[dict[str, Any]]:
    """Read the calls of a trace; RecordingError if it is none of this version."""
    lines = _lines(path)
    _header(path, lines, TRACE)
    return [call for _, call in _entries(path, lines[1:])]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from error


def _form(path: Path, lines: list[str]) -> dict[str, Any]:
    try:
        header = json.loads(lines[0])
        _ = header["ukey"], header["version"]
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise RecordingError(
            f"{path} is no recording: its first line is not the header that 'ukey record' writes"
        ) from error
    return dict(header)


def _header(path: Path, lines: list[str], form: str) -> dict[str, Any]:
    header = _form(path, lines)
    if header["ukey"] != form:
        raise RecordingError(
            f"{path} is a {header['ukey']}, no {form}: '{_WRITER[form]}' writes those"
        )
    if header["version"] != _VERSION:
        raise RecordingError(
            f"{path} is a {form} of version {header['version']}; {_VERSION} is read here"
        )
    return header


def _entries(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give the lines as objects; half a line is what a program that was killed may leave behind."""
    for number, line in enumerate(lines, 2):
        if not line.endswith("}"):
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise RecordingError(f"{path}, line {number} is no JSON") from error
        if not isinstance(entry, dict):
            raise RecordingError(f"{path}, line {number} is no object")
        yield number, entry


def _interface(entry: Any) -> tuple[int, int, int]:  # noqa: ANN401 - whatever the file has
    major, minor, flags = (int(part) for part in entry)
    return major, minor, flags


def _call(entry: dict[str, Any]) -> Call:
    return Call(
        n=int(entry["n"]),
        time=float(entry["time"]),
        us=int(entry["us"]),
        pid=int(entry["pid"]),
        tid=int(entry["tid"]),
        program=str(entry["program"]),
        function=_NAMED[entry["function"]],
        rv=int(entry["rv"]),
        request=_payload(entry.get("request")),
        answer=_payload(entry.get("answer")),
    )


def _payload(entry: dict[str, Any] | None) -> bytes | None:
    """Give the bytes of a payload; the zeros at its end are not written."""
    if entry is None:
        return None
    told, size = bytes.fromhex(entry["hex"]), int(entry["size"])
    if not len(told) <= size <= _MOST_PAYLOAD:
        raise ValueError(f"a payload has {len(told)} of {size} bytes")
    return told.ljust(size, b"\0")

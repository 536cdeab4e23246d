"""What a rack tells over its control port (CONTROL.md), as `Remote` gives it."""

from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict


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
    level `traffic` alone, `fault` where one happened: the names of those that did.
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
    fault: NotRequired[str]


class Event(TypedDict):
    """What became of a key: `event` is added, plugged, unplugged or removed."""

    n: int
    time: float
    event: str
    key: str
    slot: int
    serial: str | None

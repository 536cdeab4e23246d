"""The snapshots of a rack: copies of its keys, each a file of its own."""

import logging
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ukey_emulator.chip import Refusal
from ukey_emulator.chip.store import UNFINISHED, delete, write

from .home import BAD_ARGUMENT, RackError

_SUFFIX = ".ukey"
# Names of keys and snapshots have no @, so that it can part them.
_FILE = re.compile(r"([A-Za-z0-9._-]+)@([A-Za-z0-9._-]+)@([^@/]+)" + re.escape(_SUFFIX))
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """A snapshot as the control port tells of it: of which key it is, and since when."""

    name: str
    key: str
    serial: str
    made: str


@dataclass(frozen=True, slots=True)
class _Snapshot:
    name: str
    key: str
    serial: str
    path: Path
    made: int  # nanoseconds since 1970

    def info(self) -> SnapshotInfo:
        made = datetime.fromtimestamp(self.made / 1e9, UTC)
        return SnapshotInfo(self.name, self.key, self.serial, made.isoformat("T", "milliseconds"))


class Snapshots:
    """The snapshots in a folder, oldest first; `Keyring` calls this, one thread at a time.

    Whose they are stands in the names of the files, and their time is that of the files: none is
    opened until it is used. Faults are RackError, with what to do about them.
    """

    def __init__(self, folder: Path, *, lasting: bool) -> None:
        self._folder = folder
        self._lasting = lasting
        self._held: dict[str, _Snapshot] = {}
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in folder.glob(f"*{UNFINISHED}"):
            path.unlink()
        found = [_found(path) for path in folder.glob(f"*{_SUFFIX}")]
        for snapshot in sorted((one for one in found if one), key=lambda one: one.made):
            self._held[snapshot.name] = snapshot

    def all(self) -> tuple[SnapshotInfo, ...]:
        """Tell of all snapshots, the oldest first."""
        return tuple(snapshot.info() for snapshot in self._held.values())

    def free(self, key: str, name: str | None) -> str:
        """Give the name for a new snapshot of a key, after a look at the one that is wanted."""
        if name is None:
            number = 1
            while f"{key}-{number}" in self._held:
                number += 1
            return f"{key}-{number}"
        if not _NAME.fullmatch(name):
            raise RackError(
                f"a snapshot cannot be called {name!r}: letters, digits, . _ - only", BAD_ARGUMENT
            )
        if name in self._held:
            raise RackError(
                f"there is a snapshot {name} already: choose another name or remove that one",
                "snapshot_exists",
            )
        return name

    def keep(self, name: str, key: str, serial: str, image: bytes) -> SnapshotInfo:
        """Keep the image of a key under a name that is `free`."""
        path = self._folder / f"{name}@{key}@{serial}{_SUFFIX}"
        # Later than all others, even where somebody has turned the clock back.
        last = max((known.made for known in self._held.values()), default=0)
        snapshot = _Snapshot(name, key, serial, path, max(time.time_ns(), last + 1))
        try:
            write(path, image, lasting=self._lasting, made=snapshot.made)
        except Refusal as refusal:
            raise RackError(f"the snapshot cannot be taken: {refusal.why}") from refusal
        self._held[name] = snapshot
        return snapshot.info()

    def image(self, name: str) -> bytes:
        """Give what a snapshot holds."""
        path = self._get(name).path
        try:
            return path.read_bytes()
        except OSError as error:
            raise RackError(
                f"the snapshot {name} cannot be read: {path}: {error.strerror}"
            ) from error

    def newest(self, key: str, serial: str) -> str:
        """Name the newest snapshot of a key."""
        for snapshot in reversed(self._held.values()):
            if (snapshot.key, snapshot.serial) == (key, serial):
                return snapshot.name
        raise RackError(
            f"there is no snapshot of {key} itself; {self._known()}", "no_such_snapshot"
        )

    def remove(self, name: str) -> None:
        """Delete a snapshot for good."""
        path = self._get(name).path
        try:
            delete(path, lasting=self._lasting)
        except OSError as error:
            raise RackError(
                f"the snapshot {name} cannot be removed: {path}: {error.strerror}"
            ) from error
        del self._held[name]

    def _get(self, name: str) -> _Snapshot:
        try:
            return self._held[name]
        except KeyError:
            raise RackError(
                f"there is no snapshot {name}; {self._known()}", "no_such_snapshot"
            ) from None

    def _known(self) -> str:
        return f"there are: {', '.join(self._held) or 'none'}"


def _found(path: Path) -> _Snapshot | None:
    named = _FILE.fullmatch(path.name)
    if named is None:
        _log.warning("%s is no snapshot: it is called otherwise", path)
        return None
    name, key, serial = named.groups()
    return _Snapshot(name, key, serial, path, path.stat().st_mtime_ns)

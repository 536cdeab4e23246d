"""The file of one key."""

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol

from ukey_emulator.chip.pins import PinRecord, Role
from ukey_emulator.chip.refusal import PowerCut, Refusal
from ukey_emulator.terms import CKR

from .image import APPLICATION, VERSION, blank, in_memory
from .open_files import OpenFiles

# What files of each earlier version lack.
_MIGRATIONS = {
    1: (
        "ALTER TABLE object ADD COLUMN outside BLOB",
        "ALTER TABLE object ADD COLUMN posted INTEGER NOT NULL DEFAULT 0",
    ),
}
OF_APPLETS = "applet:"
# A file that may not grow any more is a write that failed, for SQLite.
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)

_log = logging.getLogger(__name__)
_open_files = OpenFiles()


class Sealed(NamedTuple):
    """A private object as the file holds it: nothing of it can be read but what is `outside`.

    `outside` is None in a row from before there was any; `posted` says that it is in the letterbox.
    """

    row: int
    blob: bytes
    outside: bytes | None
    posted: bool


class Faults(Protocol):
    """What may go wrong at the steps of a store, which `ukey_emulator.faults.STEPS` names."""

    @property
    def armed(self) -> bool:
        """Whether anything may go wrong at all."""

    def meet(self, step: str) -> None:
        """Come to a step; raises the Refusal that it fails with, PowerCut if the power goes."""


class Store:
    """The state of one key in one SQLite file.

    A change is made inside `change()` and is in the file whole or not at all, whenever the
    process is killed; once made it stays. In a store that is `lasting` this holds for a power cut
    as well; otherwise that may spoil it, and nothing waits for the disk. Faults of the file are
    refused with CKR_DEVICE_MEMORY when the disk is full and CKR_DEVICE_ERROR otherwise, calls
    after `close` with CKR_DEVICE_REMOVED.

    While it is not used it may `rest`: its file is closed, until it is used again.
    """

    def __init__(self, path: Path, *, lasting: bool = True, image: bytes | None = None) -> None:
        """Open a file; with an `image` of one a copy of that, which is in memory alone."""
        self.path = path
        self._lasting = lasting
        self._in_memory = image is not None
        self.faults: Faults | None = None
        self._lock = threading.RLock()
        self._change = _Change(self)
        self._closed = False
        self._last_row: int | None = None
        self._opened: sqlite3.Connection | None = None
        try:
            with self._open():
                if image is not None:
                    self._opened = in_memory(image)
                    self._check(self._opened)
                self._migrate()
        except BaseException:
            self.close()
            raise

    @property
    def _file(self) -> sqlite3.Connection:
        """The file, opened if it rests; inside `_open()`."""
        if self._opened is None:
            self._opened = self._connect()
        return self._opened

    def _connect(self) -> sqlite3.Connection:
        """Open the file, which has to be there already."""
        name = f"{self.path.absolute().as_uri()}?mode=rw"
        file = sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False)
        try:
            # One rack alone has the file open, so that no shared memory is needed beside it.
            file.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._check(file)
            # Changes are in a log first; not in memory, whose image would lack them.
            file.execute("PRAGMA journal_mode=WAL")
            # FULL waits for the disk at each change: a try that was counted stays so, and what was
            # answered for holds, when the power goes. NORMAL waits before it empties the log.
            file.execute(f"PRAGMA synchronous={'FULL' if self._lasting else 'OFF'}")
        except BaseException:
            file.close()
            raise
        return file

    def _check(self, file: sqlite3.Connection) -> None:
        if file.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise Refusal(CKR.DEVICE_ERROR, f"{self.path} is not the file of a key")

    def rest(self) -> bool:
        """Close the file until it is used again, unless it is being used at this moment."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._opened is not None:
                if self._opened.in_transaction:  # by this thread itself
                    return False
                self._opened.close()
                self._opened = None
            return True
        finally:
            self._lock.release()

    def _migrate(self) -> None:
        """Bring the file of an earlier version up to this one, whole or not at all."""
        version = self._file.execute("PRAGMA user_version").fetchone()[0]
        if version == VERSION:
            return
        if version not in _MIGRATIONS:
            raise Refusal(CKR.DEVICE_ERROR, f"{self.path} is a file of version {version}")
        with self.change():
            for step in range(version, VERSION):
                for statement in _MIGRATIONS[step]:
                    self._file.execute(statement)
            self._file.execute(f"PRAGMA user_version={VERSION}")

    @classmethod
    def draft(cls, path: Path, image: bytes | None = None) -> "Store":
        """Open in memory what shall be a file, a blank one if there is no `image` of it."""
        return cls(path, image=blank() if image is None else image)

    def image(self) -> bytes:
        """Give the file as it stands between two changes."""
        with self._open():
            return self._file.serialize()

    def become(self, image: bytes) -> None:
        """Take over all that an image of this version holds, in one change."""
        with self._open(), closing(in_memory(image)) as wanted:
            wanted.backup(self._file)
            self._last_row = None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._closed = True
            if self._opened is not None:
                self._opened.close()
        _open_files.forget(self)

    @contextmanager
    def _open(self) -> Iterator[None]:
        with self._lock:
            self._use()
            try:
                yield
            except sqlite3.Error as error:
                raise _refusal(self.path, error) from error

    def change(self) -> AbstractContextManager[None]:
        """Make one change: all that is written inside, or nothing of it."""
        return self._change

    def begin(self) -> None:
        """Begin a change, which `commit` or `roll_back` ends: nobody else makes one meanwhile."""
        self._lock.acquire()
        try:
            self._use()
            self._meet("begin")
            self._file.execute("BEGIN IMMEDIATE")
        except BaseException as error:
            if isinstance(error, PowerCut):
                self.close()
            self._lock.release()
            self._refuse(error)
            raise

    def commit(self) -> None:
        """End a change: it is in the file; if that fails, nothing of it is."""
        try:
            self._meet("commit")
            self._file.execute("COMMIT")
            self._meet("committed")
        except BaseException as error:
            self.roll_back(error)
            raise
        self._lock.release()

    def roll_back(self, error: BaseException) -> None:
        """End a change that an error has broken off: nothing of it is in the file."""
        try:
            if isinstance(error, PowerCut):
                self.close()
            # SQLite itself has rolled back already after some faults, a full disk among them.
            elif self._file.in_transaction:
                self._file.execute("ROLLBACK")
        finally:
            self._lock.release()
            self._refuse(error)

    def _write(self, step: str, statement: str, values: tuple[object, ...] = ()) -> None:
        self._meet(step)
        self._file.execute(statement, values)

    def _meet(self, step: str) -> None:
        if self.faults is not None and self.faults.armed:
            self.faults.meet(step)

    def _use(self) -> None:
        if self._closed:
            raise Refusal(CKR.DEVICE_REMOVED, "the key was pulled out meanwhile")
        if not self._in_memory:
            _open_files.use(self)

    def _refuse(self, error: BaseException) -> None:
        if isinstance(error, sqlite3.Error):
            raise _refusal(self.path, error) from error

    def facts(self) -> dict[str, bytes]:
        """Give what is kept by name, such as label and serial."""
        with self._open():
            return dict(self._file.execute("SELECT name, value FROM fact"))

    def put_fact(self, name: str, value: bytes) -> None:
        """Keep a value by name; inside `change()`."""
        self._write("write-fact", "INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    def pins(self) -> dict[Role, PinRecord]:
        """Give the PINs that are set."""
        with self._open():
            rows = self._file.execute("SELECT role, salt, wrapped, tries_left, tries FROM pin")
            return {Role(role): PinRecord(*record) for role, *record in rows}

    def put_pin(self, role: Role, record: PinRecord) -> None:
        """Keep a PIN; inside `change()`."""
        self._write(
            "write-pin",
            "INSERT OR REPLACE INTO pin VALUES (?, ?, ?, ?, ?)",
            (role, record.salt, record.wrapped, record.tries_left, record.tries),
        )

    def objects(self) -> list[tuple[int, bytes]]:
        """Give rows and blobs of all public objects."""
        with self._open():
            return self._file.execute(
                "SELECT row, blob FROM object WHERE NOT private ORDER BY row"
            ).fetchall()

    def sealed(self) -> list[Sealed]:
        """Give all private objects."""
        with self._open():
            found = self._file.execute(
                "SELECT row, blob, outside, posted FROM object WHERE private ORDER BY row"
            )
            return [Sealed._make(each) for each in found]

    def outsides(self) -> list[tuple[int, bytes]]:
        """Give rows and outsides of the private objects that have one."""
        with self._open():
            return self._file.execute(
                "SELECT row, outside FROM object WHERE private AND outside <> x'' ORDER BY row"
            ).fetchall()

    def room(self) -> tuple[int, int]:
        """Give how many bytes public objects, with what applets keep, and private ones take."""
        with self._open():
            objects = self._file.execute(
                "SELECT ifnull(sum(length(blob)) FILTER (WHERE NOT private), 0),"
                " ifnull(sum(length(blob)) FILTER (WHERE private), 0) FROM object"
            ).fetchone()
            applets = self._file.execute(
                "SELECT ifnull(sum(length(value)), 0) FROM fact WHERE name GLOB ?",
                (f"{OF_APPLETS}*",),
            ).fetchone()
            return objects[0] + applets[0], objects[1]

    def next_row(self) -> int:
        """Give a number for a new row that no row has had since the file was opened."""
        if self._last_row is None:
            found = self._file.execute("SELECT ifnull(max(row), 0) FROM object").fetchone()
            self._last_row = int(found[0])
        self._last_row += 1
        return self._last_row

    def put_object(self, row: int, blob: bytes) -> None:
        """Keep a public object; inside `change()`."""
        self._write(
            "write-object",
            "INSERT OR REPLACE INTO object (row, private, blob) VALUES (?, 0, ?)",
            (row, blob),
        )

    def put_sealed(self, sealed: Sealed) -> None:
        """Keep a private object; inside `change()`."""
        self._write(
            "write-object",
            "INSERT OR REPLACE INTO object (row, private, blob, outside, posted)"
            " VALUES (?, 1, ?, ?, ?)",
            sealed,
        )

    def drop_object(self, row: int) -> None:
        """Forget an object; inside `change()`."""
        self._write("drop-object", "DELETE FROM object WHERE row = ?", (row,))

    def drop_fact(self, name: str) -> None:
        """Forget what is kept by a name; inside `change()`."""
        self._write("drop-fact", "DELETE FROM fact WHERE name = ?", (name,))

    def wipe(self) -> None:
        """Forget all objects, the user's PIN and what applets keep; inside `change()`."""
        self._write("wipe", "DELETE FROM object")
        self._write("wipe", "DELETE FROM fact WHERE name GLOB ?", (f"{OF_APPLETS}*",))
        self._write("wipe", "DELETE FROM pin WHERE role = ?", (Role.USER,))


class _Change:
    """From the beginning of a change to its end; one serves all, of which it keeps nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> None:
        self._store.begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._store.commit()
        else:
            self._store.roll_back(error)


def _refusal(path: Path, error: sqlite3.Error) -> Refusal:
    full = getattr(error, "sqlite_errorcode", None) in _FULL
    code = CKR.DEVICE_MEMORY if full else CKR.DEVICE_ERROR
    _log.warning("%s: %s", path, error)
    return Refusal(code, f"{path}: {error}")

"""The portal's one database: plain SQL, each change one transaction.

Times are whole seconds since 1970 (UTC) by the world's clock. Secrets that a client holds
(session, ticket) are kept as digests only, so that a copy of the file logs nobody in.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_BUSY_SECONDS: Final = 5.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS units (
  identifier TEXT PRIMARY KEY, name TEXT NOT NULL, number TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS accounts (
  user TEXT PRIMARY KEY, salt BLOB NOT NULL, password BLOB NOT NULL,
  unit TEXT NOT NULL REFERENCES units(identifier)
) STRICT;
CREATE TABLE IF NOT EXISTS bind_tries (
  user TEXT PRIMARY KEY, failures INTEGER NOT NULL, locked_until INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS bindings (
  unit TEXT PRIMARY KEY REFERENCES units(identifier), user TEXT NOT NULL UNIQUE,
  bound INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS challenges (
  id TEXT PRIMARY KEY, origin TEXT NOT NULL, text TEXT NOT NULL, expires INTEGER NOT NULL,
  used INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS sessions (
  digest TEXT PRIMARY KEY, state TEXT NOT NULL, unit TEXT NOT NULL, unit_name TEXT NOT NULL,
  csrf TEXT NOT NULL, seen INTEGER NOT NULL, ends INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS tickets (
  digest TEXT PRIMARY KEY, session TEXT NOT NULL, expires INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS rosters (
  id TEXT PRIMARY KEY, unit TEXT NOT NULL REFERENCES units(identifier), title TEXT NOT NULL,
  month TEXT NOT NULL, batch INTEGER NOT NULL, persons INTEGER NOT NULL, state TEXT NOT NULL,
  created INTEGER NOT NULL, pdf BLOB NOT NULL, sha256 TEXT NOT NULL,
  sealed BLOB, sealed_at INTEGER, sealed_by TEXT,
  UNIQUE (unit, month, batch)
) STRICT;
CREATE TABLE IF NOT EXISTS persons (
  id INTEGER PRIMARY KEY, unit TEXT NOT NULL REFERENCES units(identifier),
  id_number TEXT NOT NULL, state TEXT NOT NULL, field_values TEXT NOT NULL,
  entered INTEGER NOT NULL, roster TEXT REFERENCES rosters(id),
  UNIQUE (unit, id_number)
) STRICT;
-- A unit's drafts are nobody else's business; once submitted, a person is enrolled only once.
CREATE UNIQUE INDEX IF NOT EXISTS persons_once ON persons (id_number) WHERE state != 'entered';
CREATE INDEX IF NOT EXISTS persons_of_unit ON persons (unit, state);
CREATE INDEX IF NOT EXISTS rosters_of_unit ON rosters (unit, created);
"""


class Store:
    """One SQLite connection, lent to one transaction at a time; safe for use by many threads."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "portal.sqlite"
        path.touch(mode=0o600)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for one transaction: kept on return, undone on an exception.

        Raises sqlite3.Error where the disk is full or the file cannot be written.
        """
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the database; later transactions raise sqlite3.ProgrammingError."""
        with self._lock:
            self._connection.close()

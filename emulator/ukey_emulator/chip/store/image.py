"""The file of a key as bytes: what a new one begins with, and how one is written."""

import contextlib
import errno
import functools
import os
import sqlite3
from pathlib import Path

from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKR

SCHEMA = """
CREATE TABLE fact (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE pin (
  role INTEGER PRIMARY KEY, salt BLOB NOT NULL, wrapped BLOB NOT NULL,
  tries_left INTEGER NOT NULL, tries INTEGER NOT NULL);
CREATE TABLE object (
  row INTEGER PRIMARY KEY, private INTEGER NOT NULL, blob BLOB NOT NULL,
  outside BLOB, posted INTEGER NOT NULL DEFAULT 0);
"""
APPLICATION = 0x554B4559  # "UKEY", which tells our files from others
VERSION = 2
UNFINISHED = ".part"
"""What the name of a file ends in that is being written: who finds one later may delete it."""

_LOGS = ("-wal", "-shm", "-journal")  # what SQLite may have beside the file of a key
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Read and write version of a file with a write-ahead log, and of one without (SQLite file format
# §1.3.3): a file marked so needs no conversion, and memory can hold only one that is not.
_VERSIONS = slice(18, 20)
_LOGGED, _PLAIN = b"\x02\x02", b"\x01\x01"


@functools.cache
def blank() -> bytes:
    """Give the bytes of a file with nothing in it yet: copying them is quicker than a schema."""
    with contextlib.closing(sqlite3.connect(":memory:")) as file:
        file.executescript(SCHEMA)
        file.execute(f"PRAGMA application_id={APPLICATION}")
        file.execute(f"PRAGMA user_version={VERSION}")
        return file.serialize()


def in_memory(image: bytes) -> sqlite3.Connection:
    """Open a copy of the bytes of a file, in memory alone; sqlite3.Error if they are none."""
    file = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    file.deserialize(_marked(image, _PLAIN))
    return file


def write(path: Path, image: bytes, *, lasting: bool, made: int | None = None) -> None:
    """Make a file of these bytes, for this user alone: whole or not at all, whatever happens.

    A file that is not `lasting` does not wait for the disk; `made` is its time in nanoseconds.
    Refused with CKR_DEVICE_MEMORY when the disk is full, CKR_DEVICE_ERROR otherwise, and where
    there is such a file already.
    """
    part = path.with_name(path.name + UNFINISHED)
    try:
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        # The log that a file of this name left behind would be taken for one of ours.
        path.with_name(f"{path.name}-wal").unlink(missing_ok=True)
        try:
            _write(part, _marked(image, _LOGGED), lasting=lasting, made=made)
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        if lasting:
            _wait_for_disk(path.parent)
    except OSError as error:
        code = CKR.DEVICE_MEMORY if error.errno in _NO_ROOM else CKR.DEVICE_ERROR
        raise Refusal(code, f"{path}: {error.strerror}") from error


def delete(path: Path, *, lasting: bool) -> None:
    """Delete the file of a key, and after it what only belongs to that; OSError.

    A file that is `lasting` does not come back when the power goes.
    """
    for part in ("", *_LOGS):
        path.with_name(path.name + part).unlink(missing_ok=True)
    if lasting:
        _wait_for_disk(path.parent)


def _write(path: Path, content: bytes, *, lasting: bool, made: int | None) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "wb") as out:
        out.write(content)
        out.flush()
        if made is not None:
            os.utime(out.fileno(), ns=(made, made))
        if lasting:
            os.fsync(out.fileno())


def _wait_for_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _marked(image: bytes, versions: bytes) -> bytes:
    marked = bytearray(image)
    marked[_VERSIONS] = versions
    return bytes(marked)

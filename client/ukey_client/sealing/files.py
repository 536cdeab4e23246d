"""Files in and out: read whole, written whole or not at all, nothing overwritten."""

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from ukey_client.errors import DiskFull, FileUnreadable, FileUnwritable
from ukey_client.errors.system import words_of

LARGEST: Final = 64 * 1024 * 1024
"""Bytes that a document may have."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})


def read_document(path: Path) -> bytes:
    """Read a regular file; FileUnreadable says why not.

    A pipe or a device is refused and never waited for: it may have no end, or no beginning.
    """
    try:
        # Without O_NONBLOCK the opening of a pipe waits for somebody who writes into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise FileUnreadable(path, "这不是普通文件（是管道或设备），请给出磁盘上的文件")
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise FileUnreadable(path, words_of(error)) from error
    if len(data) > LARGEST:
        raise FileUnreadable(path, f"文件超过 {LARGEST // (1024 * 1024)} MB")
    return data


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet.

    It appears whole under its name after it has reached the disk, or not at all: FileUnwritable,
    or DiskFull.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        try:
            _write(fresh, data)
            _name(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)
        _settle(path.parent)
    except FileExistsError as error:
        raise FileUnwritable(path, "文件已存在，请用 -o 换一个名称") from error
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(path) from error
        raise FileUnwritable(path, words_of(error)) from error


def require_writable(path: Path) -> None:
    """Find out before the PIN is asked for that a file could not be written at all."""
    if path.exists() or path.is_symlink():
        raise FileUnwritable(path, "文件已存在，请用 -o 换一个名称")
    if not path.parent.is_dir():
        raise FileUnwritable(path, "文件夹不存在")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise FileUnwritable(path, "没有写入权限")


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _name(fresh: Path, path: Path) -> None:
    """Give the file its name, which must be free: a link fails where a rename overwrites."""
    try:
        os.link(fresh, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError(errno.EEXIST, "exists", str(path)) from error
        fresh.rename(path)


def _settle(folder: Path) -> None:
    """Bring the name to the disk as well; some file systems do not offer it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

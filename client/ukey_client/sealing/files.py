"""Files in and out: read whole, written whole or not at all, nothing overwritten."""

import contextlib
import errno
import os
import secrets
from pathlib import Path
from typing import Final

from ukey_client.errors import DiskFull, FileUnreadable, FileUnwritable

LARGEST: Final = 64 * 1024 * 1024
"""Bytes that a document may have."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})


def read_document(path: Path) -> bytes:
    """Read a file; FileUnreadable says why not."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise FileUnreadable(path, _said(error)) from error
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
        raise FileUnwritable(path, _said(error)) from error


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


def _said(error: OSError) -> str:
    known = {
        errno.ENOENT: "文件或文件夹不存在",
        errno.EACCES: "没有权限",
        errno.EISDIR: "这是一个文件夹",
        errno.EROFS: "磁盘是只读的",
        errno.ENAMETOOLONG: "文件名过长",
    }
    return known.get(error.errno or 0) or error.strerror or str(error)

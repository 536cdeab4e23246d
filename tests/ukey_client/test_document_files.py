"""Files in and out: whole or not at all, nothing overwritten, clear words."""

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ukey_client.errors import DiskFull, FileUnreadable, FileUnwritable
from ukey_client.sealing import files

DATA = b"x" * 200_000


def test_a_new_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "名册-sealed.pdf"
    files.write_new(path, DATA)
    assert path.read_bytes() == DATA
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_nlink == 1


def test_the_users_umask_counts(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write_new(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"precious")
    with pytest.raises(FileUnwritable, match="已存在"):
        files.write_new(path, DATA)
    with pytest.raises(FileUnwritable, match="已存在"):
        files.require_writable(path)
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(FileUnwritable, match="已存在"):
        files.write_new(tmp_path / "link", DATA)
    assert not (tmp_path / "target").exists()


def test_where_links_are_not_offered_the_file_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    files.write_new(tmp_path / "a", DATA)
    assert (tmp_path / "a").read_bytes() == DATA
    with pytest.raises(FileUnwritable, match="已存在"):
        files.write_new(tmp_path / "a", b"other")
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match="磁盘空间不足"):
        files.write_new(tmp_path / "a", DATA)
    assert list(tmp_path.iterdir()) == []


def test_a_real_limit_of_the_system_leaves_nothing_behind(tmp_path: Path) -> None:
    """The kernel stops the write in the middle, as it does on a full disk."""
    program = (
        "import sys; from pathlib import Path; from ukey_client.sealing import files\n"
        "from ukey_client.errors import DiskFull\n"
        "try: files.write_new(Path(sys.argv[1]), b'x' * 200_000)\n"
        "except DiskFull as error: sys.exit(int(error.exit_code))\n"
    )

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a")],
        preexec_fn=limit,
        env=environment,
        check=False,
        timeout=60,
    )
    assert done.returncode == 9
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["no-such-folder/a", "a" * 300])
def test_files_that_cannot_be_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileUnwritable):
        files.write_new(tmp_path / name, DATA)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_found_early(tmp_path: Path) -> None:
    with pytest.raises(FileUnwritable, match="文件夹不存在"):
        files.require_writable(tmp_path / "no-such-folder" / "a")


def test_reading(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    assert files.read_document(tmp_path / "a") == DATA
    with pytest.raises(FileUnreadable, match="不存在"):
        files.read_document(tmp_path / "b")
    with pytest.raises(FileUnreadable, match="文件夹"):
        files.read_document(tmp_path)


def test_files_without_end_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST", 1000)
    (tmp_path / "a").write_bytes(DATA)
    with pytest.raises(FileUnreadable, match="超过"):
        files.read_document(tmp_path / "a")

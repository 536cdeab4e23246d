"""No English and no name of a Python class reaches the holder; no pipe holds a command up."""

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pkcs11
import pytest
from small_pdf import make_pdf

from ukey_client.errors import FileUnreadable, NotAPdf, PinUnavailable, TokenFailed
from ukey_client.errors.system import words_of
from ukey_client.sealing.document import Document
from ukey_client.sealing.files import read_document
from ukey_client.token.cryptoki.faults import name_of, translated
from ukey_client.token.pin import FilePin


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EIO, errno.ELOOP])
def test_the_system_speaks_chinese(number: int) -> None:
    assert words_of(OSError(number, os.strerror(number))).encode("ascii", "ignore") == b""


def test_a_rare_fault_keeps_its_posix_name() -> None:
    assert words_of(OSError(errno.ECHILD, "x")) == "系统错误 ECHILD"
    assert words_of(OSError("no number")) == "系统错误"


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (pkcs11.DeviceError(), "CKR_DEVICE_ERROR"),
        (pkcs11.GeneralError("remark in English"), "CKR_GENERAL_ERROR"),
        (pkcs11.FunctionCancelled(), "CKR_FUNCTION_CANCELED"),
        (pkcs11.AnotherUserAlreadyLoggedIn(), "CKR_USER_ANOTHER_ALREADY_LOGGED_IN"),
        (pkcs11.TokenNotRecognised(), "CKR_TOKEN_NOT_RECOGNIZED"),
        (pkcs11.SlotIDInvalid(), "CKR_SLOT_ID_INVALID"),
        (pkcs11.SessionReadWriteSOExists(), "CKR_SESSION_READ_WRITE_SO_EXISTS"),
        (pkcs11.RandomNoRNG(), "CKR_RANDOM_NO_RNG"),
        (pkcs11.NoSuchKey("No key found"), "找不到密钥"),
        (pkcs11.PKCS11Error("Unmapped error code 0x80000001"), "CKR 0x80000001"),
        (pkcs11.PKCS11Error("Failed to cancel"), "驱动程序报告未知错误"),
    ],
)
def test_the_module_speaks_by_the_names_of_the_standard(
    error: pkcs11.PKCS11Error, name: str
) -> None:
    assert name_of(error) == name


def test_a_broken_key_is_told_by_the_standards_name() -> None:
    with pytest.raises(TokenFailed, match=r"签名失败（CKR_DEVICE_ERROR）"), translated("签名"):
        raise pkcs11.DeviceError


@pytest.mark.parametrize(
    ("pdf", "words"),
    [(make_pdf()[:200], "缺少结尾"), (b"%PDF-1.7\n" + b"x" * 3000 + b"\n%%EOF\n", "结构已损坏")],
)
def test_broken_pdfs_are_told_in_chinese(pdf: bytes, words: str) -> None:
    with pytest.raises(NotAPdf, match=words) as caught:
        Document(pdf)
    assert caught.value.reason.isascii() is False
    assert not any("a" <= letter <= "z" for letter in caught.value.reason)


# --- pipes ------------------------------------------------------------------------------------


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "ff.pdf")
    return tmp_path / "ff.pdf"


def test_a_pipe_is_no_document(pipe: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(FileUnreadable, match="不是普通文件"):
        read_document(pipe)
    with pytest.raises(FileUnreadable, match="不是普通文件"):
        read_document(Path("/dev/null"))
    assert time.monotonic() - begun < 5


def test_seal_does_not_wait_for_a_pipe(pipe: Path) -> None:
    program = "from ukey_client import cli; cli.seal()"
    done = subprocess.run(
        [sys.executable, "-c", program, str(pipe), "--tsa", "http://127.0.0.1:9"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 9, done.stderr
    assert "不是普通文件" in done.stderr


def test_a_pin_file_in_which_nobody_writes_is_given_up(pipe: Path) -> None:
    with pytest.raises(PinUnavailable, match=r"等待 0\.2 秒"):
        FilePin(pipe, patience=0.2).ask("证书口令")
    held = os.open(pipe, os.O_RDWR)  # a writer that says nothing
    try:
        with pytest.raises(PinUnavailable, match=r"等待 0\.2 秒"):
            FilePin(pipe, patience=0.2).ask("证书口令")
    finally:
        os.close(held)


def test_a_pin_through_a_pipe(pipe: Path) -> None:
    def write() -> None:
        time.sleep(0.2)
        pipe.write_text("135790")  # no line end: the end of the pipe ends it

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert FilePin(pipe).ask("证书口令") == "135790"
    finally:
        writer.join(timeout=10)


ASK = (
    "import sys; from pathlib import Path; from ukey_client.token.pin import FilePin\n"
    "pin = FilePin(Path(sys.argv[1]), patience=float(sys.argv[2]))\n"
    "from ukey_client.errors import HolderError\n"
    "try: print([pin.ask('口令') for _ in range(int(sys.argv[3]))])\n"
    "except HolderError as error: sys.exit(error.message)\n"
)


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ('"$0" -c "$1" <(printf 135790) 30 1', "['135790']"),
        ('printf 135790 | "$0" -c "$1" /dev/stdin 30 1', "['135790']"),
        ('printf "1111\\n2222\\n" | "$0" -c "$1" - 30 2', "['1111', '2222']"),
    ],
)
def test_a_pin_from_the_shell(line: str, printed: str) -> None:
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, ASK],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.strip() == printed, done.stderr


@pytest.mark.parametrize("source", ["-", "/dev/stdin"])
def test_a_silent_standard_input_is_given_up(source: str) -> None:
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK, source, "0.3", "1"],
            stdin=reading,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(reading)
        os.close(writing)
    assert done.returncode == 1
    assert "0.3 秒" in done.stderr
    assert "Traceback" not in done.stderr

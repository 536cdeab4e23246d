"""The README as judge: what it prints, works as printed."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pypdfium2
import pytest

ROOT = Path(__file__).parents[2]
LANGUAGES = ("README.md", "README.zh-CN.md")


def blocks(readme: str, language: str) -> list[str]:
    text = (ROOT / readme).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"$ {' '.join(command)}\n{done.stdout}"
    return done.stdout


@pytest.mark.parametrize("readme", LANGUAGES)
def test_the_example_passes_as_printed(readme: str, tmp_path: Path) -> None:
    (example,) = blocks(readme, "python")
    (tmp_path / "test_example.py").write_text(example)
    told = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], tmp_path)
    assert "1 passed" in told


def test_both_languages_show_the_same_code() -> None:
    first, second = LANGUAGES
    for language in ("python", "toml"):
        assert blocks(first, language) == blocks(second, language)
    without_comments = [
        [re.sub(r" *#.*", "", block) for block in blocks(readme, "sh")] for readme in LANGUAGES
    ]
    assert without_comments[0] == without_comments[1]


def test_programs_run_with_a_key_around_them(tmp_path: Path) -> None:
    running = [block for block in blocks("README.md", "sh") if "ukey run" in block]
    first, second, third = (block for block in running if "ukey profile" not in block)
    told = run(["bash", "-e", "-c", as_here(first)], tmp_path)
    assert "Key pair generated" in told
    assert "ECDSA" in told
    told = run(["bash", "-e", "-c", as_here(second)], tmp_path)
    assert "ukeylab key-1 00 00" in told
    assert "Successfully generated a new private key" in told
    assert "PIV PUK" in told
    told = run(["bash", "-e", "-c", as_here(third)], tmp_path)
    assert "PIN tries left" in told


def test_a_key_is_like_another_one(tmp_path: Path) -> None:
    (commands,) = (block for block in blocks("README.md", "sh") if "ukey profile" in block)
    (tmp_path / "tokens").mkdir()
    device = tmp_path / "softhsm2.conf"
    device.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    own = "softhsm2-util --init-token --free --label mine --pin 123456 --so-pin 12345678\n"
    told = run(["bash", "-e", "-c", own + as_here(commands)], tmp_path, SOFTHSM2_CONF=str(device))
    assert "slow-usb-key" in told
    assert "签名证书" in told
    assert 'model = "SoftHSM v2"' in (tmp_path / "mine.toml").read_text("utf-8")


def test_a_device_is_recorded_and_replayed(tmp_path: Path) -> None:
    (commands,) = (block for block in blocks("README.md", "sh") if "ukey record" in block)
    (tmp_path / "tokens").mkdir()
    device = tmp_path / "softhsm2.conf"
    device.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    told = run(["bash", "-e", "-c", as_here(commands)], tmp_path, SOFTHSM2_CONF=str(device))
    assert told.count("Available slots:") == 2
    assert "C_GetSlotInfo(" in told


def test_a_rack_stays(tmp_path: Path) -> None:
    (commands,) = (block for block in blocks("README.md", "sh") if "ukey rack" in block)
    told = run(["bash", "-e", "-c", as_here(commands)], tmp_path, UKEY_HOME=str(tmp_path / "home"))
    assert "mine" in told
    assert "C_GetTokenInfo" in told


def test_a_holder_goes_through_the_day_by_hand(tmp_path: Path) -> None:
    (commands,) = (block for block in blocks("README.md", "sh") if "ukey renew" in block)
    (up,) = (block for block in blocks("README.md", "sh") if "ukey up" in block)
    document = pypdfium2.PdfDocument.new()
    document.new_page(595, 842)
    document.save(tmp_path / "letter.pdf")
    with running(as_here(up), tmp_path, UKEY_HOME=str(tmp_path / "home")) as printed:
        exports = dict(re.findall(r"^export (\w+)=(\S+)$", printed, re.MULTILINE))
        account = re.search(r"user (\S+), password (\S+)", printed)
        assert account, printed
        answers = {
            "UKEY_PIN": "123456",
            "UKEY_NEW_PIN": "654321",
            "UKEY_PORTAL_PASSWORD": account[2],
        }
        commands = commands.replace("ukey bind", f"ukey bind --user {account[1]}")
        told = run(["bash", "-e", "-c", as_here(commands)], tmp_path, **exports, **answers)
    for words in ("我的证书", "首次使用需绑定", "一次性登录链接", "没有名册", "签章完成"):
        assert words in told
    for words in ("Signature is Valid", "延期成功"):
        assert words in told
    assert told.index("延期成功") < told.rindex("登录成功：") < told.index("口令修改成功")


@contextmanager
def running(command: str, folder: Path, **environment: str) -> Iterator[str]:
    """Start what runs until Ctrl-C; give what it has printed when it is ready."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        printed = ""
        while "Ctrl-C" not in printed:
            line = process.stdout.readline()
            assert line, printed
            printed += line
        yield printed
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=30)
        process.stdout.close()
    assert process.returncode in {0, 130}


def as_here(commands: str) -> str:
    """Let the commands find the program that runs these tests."""
    return commands.replace(".venv/bin/ukey", str(Path(sys.executable).with_name("ukey")))

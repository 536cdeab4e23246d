"""The rack and its control port, as programs meet them."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ukey_emulator import module_path
from ukey_emulator.remote import RackProcess, Remote, RemoteError


def control(home: Path) -> socket.socket:
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(10)
    line.connect(str(home / "control.sock"))
    return line


def test_keys_come_and_go(remote: Remote) -> None:
    first = remote.new_key(label="单位证书")
    second = remote.new_key(name="spare", initialized=False)
    assert [key.name for key in remote.keys()] == ["key-1", "spare"]
    assert (first.label, first.plugged, second.label) == ("单位证书", True, "")
    assert first.serial != second.serial
    assert not remote.unplug("key-1").plugged
    assert remote.plug("key-1").slot == first.slot
    remote.remove("spare")
    assert [key.name for key in remote.keys()] == ["key-1"]


def test_keys_are_there_again_after_a_kill(tmp_path: Path) -> None:
    with RackProcess.start(tmp_path) as rack, rack.remote() as remote:
        made = [remote.new_key(name=f"key-{number}") for number in (1, 2, 10)]
        rack._process.kill()
    with RackProcess.start(tmp_path) as rack, rack.remote() as remote:
        assert remote.keys() == made


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"name": "../evil"}, "cannot be called"),
        ({"name": "key-1"}, "already"),
        ({"label": "长" * 11}, "32 bytes"),
        ({"tries": 0}, "1 to 255"),
        ({"pin": "123"}, "4 to 64"),
    ],
)
def test_what_cannot_be_made_says_why(
    remote: Remote, wanted: dict[str, object], message: str
) -> None:
    remote.new_key()
    with pytest.raises(RemoteError, match=message):
        remote.new_key(**wanted)  # type: ignore[arg-type]
    assert len(remote.keys()) == 1


def test_a_key_that_is_not_there(remote: Remote) -> None:
    remote.new_key(name="mine")
    with pytest.raises(RemoteError, match="no key yours; there are: mine"):
        remote.unplug("yours")


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe garbage\n",
        b"[]\n",
        b'{"version": 2, "command": "key.list"}\n',
        b'{"version": 1, "command": ["key.list"]}\n',
        b'{"version": 1, "command": "no.such"}\n',
        b'{"version": 1, "command": "key.new", "arguments": {"colour": "red"}}\n',
        b'{"version": 1, "command": "key.new", "arguments": 7}\n',
        b"{" * 5000 + b"\n",
        b"[" * 100_000 + b"\n",
        b'{"version": 1, "command": "trace", "since": 5}\n',
    ],
)
def test_garbage_gets_an_error_and_harms_nobody(
    rack: RackProcess, remote: Remote, line: bytes
) -> None:
    with control(rack.home) as raw, raw.makefile("rb") as lines:
        raw.sendall(line)
        answer = json.loads(lines.readline())
        assert not answer["ok"]
        assert answer["error"]["message"]
    assert remote.keys() == []


def test_sockets_and_folder_belong_to_the_user_alone(rack: RackProcess) -> None:
    for path in (rack.home, rack.home / "control.sock", rack.home / "rack.sock"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_a_second_rack_is_turned_away(rack: RackProcess) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "ukey_emulator.rack", str(rack.home), "lasting"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 1
    assert "runs already" in second.stderr
    assert "Traceback" not in second.stderr


def test_no_rack_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="start one with 'ukey rack"):
        Remote(tmp_path)
    with pytest.raises(RemoteError, match="start one with 'ukey rack"):
        Remote(tmp_path / "absent")


def test_a_home_with_a_long_name(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    with RackProcess.start(home) as rack, rack.remote() as remote:
        remote.new_key()
        assert len(os.fspath(home / "control.sock")) > 108


def test_the_rack_ends_with_the_process_that_started_it() -> None:
    script = (
        "import os; from ukey_emulator.remote import RackProcess\n"
        "rack = RackProcess.start(); print(rack.home, flush=True); os._exit(9)\n"
    )
    starter = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    home = Path(starter.stdout.strip())
    deadline = time.monotonic() + 10
    while (home / "control.sock").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    shutil.rmtree(home)


def test_a_file_that_may_not_grow_is_a_full_key(tmp_path: Path) -> None:
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
        "import runpy, sys; sys.argv = ['rack', sys.argv[1], 'lasting']\n"
        "runpy.run_module('ukey_emulator.rack', run_name='__main__')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as rack:
        assert rack.stdout is not None
        assert rack.stdin is not None
        assert rack.stderr is not None
        assert rack.stdout.readline() == b"ready\n"
        with Remote(tmp_path) as remote:
            made = remote.new_key(name="kept")
            program = (
                "import pkcs11, sys\n"
                "from pkcs11 import Attribute as A\n"
                "token = next(pkcs11.lib(sys.argv[1]).get_tokens())\n"
                "with token.open(rw=True, user_pin='123456') as session:\n"
                "    session.create_object({A.CLASS: pkcs11.ObjectClass.DATA,\n"
                "        A.TOKEN: True, A.VALUE: bytes(40_000)})\n"
            )
            done = subprocess.run(
                [sys.executable, "-c", program, module_path()],
                env={**os.environ, "UKEY_HOME": str(tmp_path)},
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            assert "pkcs11.exceptions.DeviceMemory" in done.stderr
            assert remote.keys() == [made]
        rack.stdin.close()
        said = rack.stderr.read().decode()
        assert "Traceback" not in said
        assert "WARNING" in said

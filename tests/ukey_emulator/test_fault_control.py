"""Fault plans from outside: the control port, its Python client, the command line."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from rack_watch import within

from ukey_emulator import module_path
from ukey_emulator.faults.reading import MEMBERS
from ukey_emulator.remote import RackProcess, Remote, RemoteError

PLAN = """
[[fault]]
name = "second-signature"
key = "mine"
function = "C_Sign"
at = 2
return = "CKR_DEVICE_ERROR"

[[fault]]
apdu = "VERIFY"
status = "6F00"
"""


@pytest.fixture(scope="module")
def rack() -> Iterator[RackProcess]:
    with RackProcess.start() as running, running.remote() as remote:
        remote.new_key(name="mine", label="mine")
        yield running


@pytest.fixture
def remote(rack: RackProcess) -> Iterator[Remote]:
    with rack.remote() as connected:
        yield connected
        connected.clear_faults()


@pytest.fixture
def key(rack: RackProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give a private key in a session of this process, through python-pkcs11."""
    monkeypatch.setenv("UKEY_HOME", str(rack.home))
    library = pkcs11.lib(module_path())
    library.reinitialize()
    with library.get_token(token_label="mine").open(user_pin="123456") as session:
        _, private = session.generate_keypair(pkcs11.KeyType.RSA, 1024, store=False)
        yield private
    library.finalize()


def ukey(rack: RackProcess, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ukey_harness.cli", *arguments],
        env={**os.environ, "UKEY_HOME": str(rack.home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_each_door_takes_the_members_that_a_plan_has(rack: RackProcess, remote: Remote) -> None:
    assert set(remote.hello().commands["fault.add"]) == set(MEMBERS)
    told = ukey(rack, "fault", "add", "--help").stdout
    assert {word[2:] for word in re.findall("--[a-z]+", told)} >= set(MEMBERS)


def test_the_second_signature_fails_and_only_that(remote: Remote, key: Any) -> None:
    """python-pkcs11 asks for the length of each signature first: that counts with it."""
    remote.load_faults(PLAN)
    assert key.sign(b"one")
    with pytest.raises(pkcs11.DeviceError):
        key.sign(b"two")
    assert key.sign(b"three")
    (second, verify) = remote.faults()
    assert (second.name, second.met, second.fired) == ("second-signature", 3, 1)
    assert (verify.name, verify.met, verify.members["apdu"]) == ("fault-1", 0, "VERIFY")
    (failed,) = [call for call in remote.trace() if call.get("fault")]
    assert (failed["function"], failed["rv"]) == ("C_Sign", "CKR_DEVICE_ERROR")
    assert [info.fired for info in remote.clear_faults("second-signature")] == [1]
    assert [info.name for info in remote.faults()] == ["fault-1"]


def test_a_program_that_runs_already_hangs_until_it_is_released(remote: Remote, key: Any) -> None:
    for _ in range(5):  # so that the module knows answers, and promises more
        signature = key.sign(b"data")
    signed: list[bytes] = []
    program = remote.trace()[-1]["program"]
    remote.add_fault(name="stuck", function="C_SignInit", program=program, hang=True)
    thread = threading.Thread(target=lambda: signed.append(key.sign(b"data")))
    thread.start()
    assert within(20, lambda: remote.faults()[0].waiting == 1)
    assert not signed
    assert remote.release("stuck") == 1
    thread.join(20)
    assert signed == [signature]
    remote.clear_faults()
    assert key.sign(b"data") == signature


def test_python_says_return_and_from_in_other_words(remote: Remote, key: Any) -> None:
    remote.add_fault(function="C_Sign", from_=2, to=3, returns="CKR_FUNCTION_FAILED")
    assert key.sign(b"one")
    for _ in range(2):
        with pytest.raises(pkcs11.FunctionFailed):
            key.sign(b"two")
    assert key.sign(b"four")
    assert remote.faults()[0].members["from"] == 2


@pytest.mark.parametrize(
    ("members", "code", "says"),
    [
        ({"function": "C_Sing", "hang": True}, "bad_argument", "close to it are: C_Sign"),
        ({"function": "C_Sign", "hangs": True}, "bad_argument", "fault.add has no argument"),
        ({"apdu": "VERIFI", "hang": True}, "bad_argument", "close to it are: VERIFY"),
        ({"function": "C_Sign", "key": "mien", "hang": True}, "no_such_key", "there are: mine"),
        ({"function": "C_Initialize", "hang": True}, "bad_argument", "inside the program"),
        ({"function": "C_Sign", "at": 0, "hang": True}, "bad_argument", "from 1"),
        ({"name": "a", "store": "commit", "hang": True}, "fault_exists", "there is a fault a"),
    ],
)
def test_a_misspelt_fault_is_refused(
    remote: Remote, members: dict[str, Any], code: str, says: str
) -> None:
    remote.add_fault(name="a", store="wipe", delay=0.1)
    with pytest.raises(RemoteError, match=says) as raised:
        remote.add_fault(**members)
    assert raised.value.code == code
    assert [info.name for info in remote.faults()] == ["a"]


def test_a_plan_is_loaded_whole_or_not_at_all(remote: Remote, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="fault 3 of the plan: there is no function 'C_Sing'"):
        remote.load_faults(f"{PLAN}[[fault]]\nfunction = 'C_Sing'\nhang = true")
    with pytest.raises(RemoteError, match="there is no key yours"):
        remote.load_faults(PLAN.replace("mine", "yours"))
    with pytest.raises(RemoteError, match="the plan cannot be read"):
        remote.load_faults(tmp_path / "missing.toml")
    assert remote.faults() == []
    for ask in (remote.clear_faults, remote.release):
        with pytest.raises(RemoteError, match="there is no fault b") as raised:
            ask("b")
        assert raised.value.code == "no_such_fault"


def test_the_command_line_says_the_same(rack: RackProcess, remote: Remote, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    added = ukey(rack, "fault", "add", str(plan), "--json")
    assert [info["name"] for info in json.loads(added.stdout)] == ["second-signature", "fault-1"]
    third = ("--function", "C_Sign", "--at", "3", "--seed", "0", "--return", "CKR_DEVICE_ERROR")
    refused = ukey(rack, "fault", "add", *third, "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stderr)["error"]["code"] == "bad_argument"
    assert "seed goes with a chance" in refused.stderr
    noise = ("--store", "commit", "--chance", "0.5", "--seed", "0", "--power", "off")
    assert ukey(rack, "fault", "add", "--name", "dark", *noise).returncode == 0
    assert remote.faults()[2].members["seed"] == 0
    listed = ukey(rack, "fault", "list")
    assert "name=dark store=commit chance=0.5 seed=0 power=off  met 0, fired 0" in listed.stdout
    assert json.loads(ukey(rack, "fault", "release", "--json").stdout) == {"released": 0}
    wrong = ukey(rack, "fault", "clear", "darc")
    assert (wrong.returncode, wrong.stderr) == (
        1,
        "Error: there is no fault darc; close to it are: dark\n",
    )
    assert ukey(rack, "fault", "clear", "dark").returncode == 0
    cleared = json.loads(ukey(rack, "fault", "clear", "--json").stdout)
    assert [info["name"] for info in cleared] == ["second-signature", "fault-1"]
    assert remote.faults() == []
    both = ukey(rack, "fault", "add", str(plan), "--hang")
    assert both.returncode == 2
    assert "--hang does not go with FILE" in both.stderr


def test_pkcs11_tool_shows_the_return_value(rack: RackProcess, remote: Remote) -> None:
    def login() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["pkcs11-tool", "--module", module_path(), "--login", "--pin", "123456", "-O"],
            env={**os.environ, "UKEY_HOME": str(rack.home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    remote.add_fault(function="C_Login", at=1, returns="CKR_PIN_EXPIRED")
    remote.add_fault(function="C_Login", at=2, pull="after")
    failed = login()
    assert failed.returncode != 0
    assert "CKR_PIN_EXPIRED" in failed.stderr
    pulled = login()
    assert "CKR_DEVICE_REMOVED" in pulled.stderr
    assert not remote.keys()[0].plugged
    remote.plug("mine")
    assert login().returncode == 0

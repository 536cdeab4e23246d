"""The control port without Python: the session in CONTROL.md, and the commands with --json."""

import json
import os
import pkgutil
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from ukey_emulator import cli, module_path, rack
from ukey_emulator.remote import RackProcess, Remote

DOCUMENT = Path(rack.__file__).with_name("CONTROL.md")
UKEY = Path(sys.executable).with_name("ukey")


@pytest.fixture
def running() -> Iterator[RackProcess]:
    with RackProcess.start() as rack_process:
        yield rack_process


def caught(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([UKEY, *words], capture_output=True, text=True, timeout=60, check=False)


def ukey(running: RackProcess, *words: str, code: int = 0) -> Any:
    done = subprocess.run(
        [UKEY, *words],
        env={**os.environ, "UKEY_HOME": str(running.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert (done.stderr == "") == (code == 0)
    lines = (done.stderr if code else done.stdout).splitlines()
    return [json.loads(line) for line in lines]


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return [text for told, text in found if told == language]


def shape(answer: dict[str, Any]) -> object:
    """Tell what does not differ from run to run."""
    told = answer.get("result", answer.get("error", answer.get("next")))
    if not isinstance(told, dict) or "commands" in told:
        return list(answer)
    return [*answer, {name: told[name] for name in told.keys() - {"serial", "time"}}]


def test_the_session_of_the_document(running: RackProcess) -> None:
    (script,) = blocks("sh")
    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        env={**os.environ, "UKEY_HOME": str(running.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    promised = blocks("")[-1].replace(", …", "").splitlines()
    assert [shape(answer) for answer in answers] == [shape(json.loads(each)) for each in promised]


def test_every_command_speaks_json(running: RackProcess) -> None:
    assert ukey(running, "module", "--json") == [{"module": str(module_path())}]
    ((made,),) = ukey(running, "key", "new", "--name", "mine", "--json")
    assert ukey(running, "key", "list", "--json") == [[made]]
    assert ukey(running, "key", "unplug", "mine", "--json") == [[{**made, "plugged": False}]]
    assert ukey(running, "key", "plug", "mine", "--json") == [[made]]
    assert ukey(running, "key", "remove", "mine", "--json") == [{"removed": "mine"}]
    events = [event["event"] for event in ukey(running, "key", "events", "--since", "2", "--json")]
    assert events == ["unplugged", "plugged", "unplugged", "removed"]
    (error,) = ukey(running, "key", "plug", "mine", "--json", code=1)
    assert error["error"]["code"] == "no_such_key"
    assert ukey(running, "trace", "--json") == []


def leaves(command: click.Command) -> Iterator[click.Command]:
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from leaves(each)
    else:
        yield command


def test_no_command_is_without_json() -> None:
    modules = [name for _, name, _ in pkgutil.iter_modules(cli.__path__) if name != "asking"]
    assert {"key", "rack", "run", "trace"} <= set(modules)
    for name in modules:
        top = getattr(import_module(f"{cli.__name__}.{name}"), name)
        for command in leaves(top) if isinstance(top, click.Command) else ():
            options = {option for each in command.params for option in each.opts}
            assert "--json" in options, (name, command.name)


def test_a_rack_tells_its_environment(tmp_path: Path) -> None:
    with subprocess.Popen(
        [UKEY, "rack", "--json", "--home", tmp_path], stdout=subprocess.PIPE
    ) as rack_process:
        try:
            assert rack_process.stdout is not None
            told = json.loads(rack_process.stdout.readline())
            assert told["keys"] == 0
            assert told["environment"]["UKEY_HOME"] == str(tmp_path)
            with Remote(tmp_path) as remote:
                assert remote.hello().home == str(tmp_path)
            second = caught("rack", "--json", "--home", str(tmp_path))
            error = json.loads(second.stderr)["error"]
            assert error["code"] == "refused"
            assert "runs already" in error["message"]
            rack_process.terminate()
            assert rack_process.wait(20) == 0
        finally:
            rack_process.kill()


def test_a_program_that_is_not_there_is_told_in_json() -> None:
    done = caught("run", "--json", "--", "/no/such", "--json")
    assert (done.returncode, done.stdout) == (127, "")
    assert json.loads(done.stderr)["error"]["code"] == "not_started"


def test_the_options_after_a_program_are_its_own() -> None:
    done = caught("run", "echo", "--json", "--keys", "--help")
    assert (done.returncode, done.stdout) == (0, "--json --keys --help\n")


def test_no_rack_is_told_in_json_as_well(tmp_path: Path) -> None:
    done = subprocess.run(
        [UKEY, "key", "list", "--json", "--home", tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert json.loads(done.stderr)["error"]["code"] == "gone"


def test_trace_follows_until_it_is_interrupted(running: RackProcess) -> None:
    environment = {**os.environ, "UKEY_HOME": str(running.home)}
    ukey(running, "key", "new", "--json")
    with subprocess.Popen(
        [UKEY, "trace", "--follow", "--json"], env=environment, stdout=subprocess.PIPE
    ) as following:
        try:
            assert following.stdout is not None
            for _ in range(2):  # what was before it looks, and what comes while it does
                subprocess.run(
                    ["pkcs11-tool", "--module", module_path(), "--list-slots"],
                    env=environment,
                    check=True,
                    timeout=60,
                    stdout=subprocess.DEVNULL,
                )
                functions = set()
                while "C_GetTokenInfo" not in functions:  # the last that it asks
                    functions.add(json.loads(following.stdout.readline())["function"])
                assert "C_GetSlotInfo" in functions
            following.send_signal(signal.SIGINT)
            assert following.wait(20) == 0
        finally:
            following.kill()

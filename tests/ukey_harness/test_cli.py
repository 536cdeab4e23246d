"""`ukey` itself: quick, and one message for every fault."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from ukey_harness import cli


def ukey(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ukey_harness.cli", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_command_and_imports_none() -> None:
    script = (
        "import sys; from ukey_harness.cli import run; run(['--help']);"
        "print(sorted({n.partition('.')[0] for n in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    for name in cli.COMMANDS:
        assert f"  {name} " in done.stdout
    loaded = done.stderr
    for heavy in ("ukey_client", "pyhanko", "pkcs11", "cryptography", "rich", "jinja2", "pytest"):
        assert f"'{heavy}'" not in loaded


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_of_the_table_is_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cli.MODULE_VARIABLE, "/not/to/be/set/by/this/test.so")
    command = cli.ukey.get_command(click.Context(cli.ukey), name)
    assert isinstance(command, click.Command)
    assert command.name == name


def test_version() -> None:
    assert ukey("--version").stdout.startswith("ukeylab 0.")


def test_an_unknown_command_is_a_usage_error() -> None:
    done = ukey("cook")
    assert done.returncode == 2
    assert "No such command 'cook'" in done.stderr


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    @click.command()
    def broken() -> None:
        raise error

    monkeypatch.setattr(cli.ukey, "get_command", lambda *_: broken)


class TestFaults:
    def test_what_nobody_has_foreseen_is_one_line(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv(cli.DEBUG_VARIABLE, raising=False)
        fails_with(monkeypatch, ValueError("the\nmoon is\n  wrong"))
        assert cli.run(["certs"]) == 1
        said = capsys.readouterr().err
        assert said.splitlines()[0] == "ukey: the moon is wrong"
        assert "Traceback" not in said
        assert cli.DEBUG_VARIABLE in said

    def test_an_error_with_an_exit_code_keeps_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        error = RuntimeError("x")
        error.exit_code = 7  # type: ignore[attr-defined]
        fails_with(monkeypatch, error)
        assert cli.run(["certs"]) == 7

    def test_debugging_shows_the_traceback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(cli.DEBUG_VARIABLE, "1")
        fails_with(monkeypatch, ValueError("x"))
        with pytest.raises(ValueError, match="x"):
            cli.run(["certs"])

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
    def test_an_interruption_is_130(
        self, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        fails_with(monkeypatch, error)
        assert cli.run(["certs"]) == 130


class TestModuleDefault:
    def test_our_module_is_the_holders_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(cli.MODULE_VARIABLE, raising=False)
        cli.offer_own_module()
        assert os.environ[cli.MODULE_VARIABLE].endswith("libukeypkcs11.so")
        monkeypatch.delenv(cli.MODULE_VARIABLE)

    def test_a_chosen_module_stays_chosen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(cli.MODULE_VARIABLE, "/opt/theirs.so")
        cli.offer_own_module()
        assert os.environ[cli.MODULE_VARIABLE] == "/opt/theirs.so"

    def test_without_a_rack_the_holder_gets_a_message(self, tmp_path: Path) -> None:
        environment = dict.fromkeys(("PKCS11_MODULE", "UKEY_TOKEN"), "")
        done = ukey("certs", UKEY_HOME=str(tmp_path), **environment)
        assert done.returncode == 3
        assert "没有检测到证书介质" in done.stderr


def test_up_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ukey_harness.cli", "up", "--home", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    exports: dict[str, str] = {}
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            exports[name] = value
        if "Ctrl-C" in line:
            break
    listed = ukey("certs", **exports)
    logged_in = ukey("login", UKEY_PIN="123456", **exports)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert listed.returncode == 0, listed.stderr
    assert "UKEYLAB" in listed.stdout
    assert logged_in.returncode == 0, logged_in.stderr
    assert "绑定" in logged_in.stdout
    assert process.returncode == 0, complaint
    assert "Traceback" not in complaint
    assert ukey("certs", **exports).returncode == 3

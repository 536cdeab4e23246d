"""The pytest plugin in somebody else's project."""

from pathlib import Path

import pytest
from plugin_runs import run_pytest

# The lines that the README prints, as they stand there.
README_TEST = """
import pkcs11
def test_my_program_signs(ukey, ukey_module):
    token = pkcs11.lib(ukey_module).get_token(token_label=ukey.label)
    with token.open(rw=True, user_pin=ukey.pin) as session:
        public, private = session.generate_keypair(pkcs11.KeyType.RSA, 2048)
        assert public.verify(b"data", private.sign(b"data"))
"""


def test_the_readmes_lines_work_as_printed(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(README_TEST)
    assert "1 passed" in run_pytest(tmp_path, "-q")


def test_workers_have_racks_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        README_TEST
        + """
import os, pytest
@pytest.mark.parametrize("n", range(6))
def test_keys_are_fresh_and_private(ukey, ukey_module, n):
    tokens = [slot.get_token().label for slot in pkcs11.lib(ukey_module).get_slots(True)]
    assert tokens == [ukey.label]
    assert str(ukey.home) == os.environ["UKEY_HOME"]
    print("HOME", ukey.home)
"""
    )
    said = run_pytest(tmp_path, "-q", "-n", "2", "-rP")
    assert "7 passed" in said
    homes = {line for line in said.splitlines() if line.startswith("HOME")}
    assert len(homes) == 2
    assert not any(Path(line.split()[1]).exists() for line in homes)


def test_a_key_can_be_pulled_out_and_put_back(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        """
import pkcs11, pytest
def test_pull(ukey, ukey_module):
    lib = pkcs11.lib(ukey_module)
    assert lib.get_token(token_label=ukey.label).serial.decode() == ukey.serial
    ukey.unplug()
    with pytest.raises(pkcs11.NoSuchToken):
        lib.get_token(token_label=ukey.label)
    ukey.plug()
    assert lib.get_token(token_label=ukey.label)
    assert ukey.uri == f"pkcs11:token={ukey.label};serial={ukey.serial}"
    assert ukey.pin == "123456" and ukey.so_pin == "12345678"
"""
    )
    assert "1 passed" in run_pytest(tmp_path, "-q")


def test_a_key_can_be_rewound_and_leaves_no_snapshot(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        """
import pkcs11, pytest
@pytest.mark.parametrize("n", range(2))
def test_rewind(ukey, ukey_module, n):
    assert ukey.remote.snapshots() == []
    lib = pkcs11.lib(ukey_module)
    assert ukey.snapshot("empty") == "empty"
    with lib.get_token(token_label=ukey.label).open(rw=True, user_pin=ukey.pin) as session:
        session.generate_key(pkcs11.KeyType.AES, 128, store=True)
    ukey.snapshot()
    ukey.rewind("empty")
    for there in (0, 1):
        with lib.get_token(token_label=ukey.label).open(user_pin=ukey.pin) as session:
            assert len(list(session.get_objects())) == there
        ukey.rewind()
"""
    )
    assert "2 passed" in run_pytest(tmp_path, "-q")


def test_a_test_that_turns_the_clock_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        """
from datetime import UTC, datetime, timedelta
import pytest
seen = []
@pytest.mark.parametrize("turn", ["", "clock", "portal", ""])
def test_world(world, turn):
    seen.append(world.portal_url)
    assert abs(world.clock.now() - datetime.now(UTC)) < timedelta(seconds=3)
    if turn == "clock":
        world.clock.advance(timedelta(days=99))
    if turn == "portal":
        world.take_down("portal")
def test_only_the_spoilt_ones_were_replaced():
    assert seen[0] == seen[1]
    assert len(set(seen)) == 3
"""
    )
    assert "5 passed" in run_pytest(tmp_path, "-q")


def test_the_racks_control_port_makes_more_keys_and_tells_the_calls(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        """
import pkcs11
def test_two_keys(ukey, ukey_rack, ukey_module):
    with ukey_rack.remote() as remote:
        other = remote.new_key(label="second")
        lib = pkcs11.lib(ukey_module)
        labels = {slot.get_token().label for slot in lib.get_slots(True)}
        assert labels == {ukey.label, "second"}
        assert "C_GetTokenInfo" in {call["function"] for call in remote.trace()}
        remote.remove(other.name)
"""
    )
    assert "1 passed" in run_pytest(tmp_path, "-q")


def test_a_failing_test_shows_the_key_without_its_pins(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("def test_it(ukey):\n    assert ukey is None\n")
    said = run_pytest(tmp_path, "-q", "-l")
    assert "1 failed" in said
    assert "Key(name=" in said
    assert "123456" not in said


class TestOtherPeoplesRuns:
    """A project that does not use us must not notice that we are installed."""

    def test_nothing_heavy_is_imported(self, tmp_path: Path) -> None:
        (tmp_path / "test_mine.py").write_text(
            """
import sys
def test_imports():
    ours = {name.partition(".")[0] for name in sys.modules}
    assert not ours & {"ukey_emulator", "ukey_client", "cffi", "pkcs11", "httpx2", "starlette"}
    assert {name for name in sys.modules if name.startswith("ukey_harness")} <= {
        "ukey_harness", "ukey_harness.plugin", "ukey_harness.verdicts",
        "ukey_harness.verdicts.pytest_run",
    }
"""
        )
        assert "1 passed" in run_pytest(tmp_path, "-q", "--strict-markers", "--strict-config")

    @pytest.mark.parametrize("where", ["conftest.py", "my_plugin.py"])
    def test_a_device_option_of_their_own_stays_theirs(self, tmp_path: Path, where: str) -> None:
        (tmp_path / where).write_text(
            "def pytest_addoption(parser):\n"
            "    parser.addoption('--device', default='cpu', help='cpu or cuda')\n"
        )
        (tmp_path / "test_mine.py").write_text(
            "def test_device(request):\n    assert request.config.getoption('--device') == 'cuda'\n"
        )
        more = ("-p", "my_plugin") if where == "my_plugin.py" else ()
        said = run_pytest(tmp_path, "-q", "--device", "cuda", *more, PYTHONPATH=str(tmp_path))
        assert "1 passed" in said

    def test_help_lists_our_options(self, tmp_path: Path) -> None:
        said = run_pytest(tmp_path, "--help")
        assert "--ukey-device=FILE" in said
        assert "--ukey-report=DIR" in said

    def test_the_marker_is_told_of(self, tmp_path: Path) -> None:
        assert "@pytest.mark.ukey(profile=, pin=, " in run_pytest(tmp_path, "--markers")

    def test_without_scenarios_there_is_no_record(self, tmp_path: Path) -> None:
        (tmp_path / "test_mine.py").write_text("def test_one():\n    pass\n")
        said = run_pytest(tmp_path, "-q", "--ukey-report", str(tmp_path / "report"))
        assert "1 passed" in said
        assert "ukeylab:" not in said
        assert not (tmp_path / "report").exists()

    def test_bdd_tags_of_their_own_become_markers_as_before(self, tmp_path: Path) -> None:
        (tmp_path / "a.feature").write_text(
            "Feature: theirs\n  @slow\n  Scenario: one\n    Given nothing\n"
        )
        (tmp_path / "test_mine.py").write_text(
            "from pytest_bdd import given, scenarios\nscenarios('a.feature')\n"
            "@given('nothing')\ndef _(request):\n"
            "    assert request.node.get_closest_marker('slow')\n"
        )
        assert "1 passed" in run_pytest(tmp_path, "-q", "-m", "slow")

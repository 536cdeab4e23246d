"""A world starts, keeps its state, refuses what it must, and leaves nothing behind."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ukey_harness.world import Unit, World, serve_world
from ukey_harness.world.errors import WorldError

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def status(url: str) -> int:
    try:
        with _opener.open(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let temporary folders be made here, where they can be counted."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail where a thread or an open file of a world outlives it."""
    threads, files = set(threading.enumerate()), open_files()
    yield
    deadline = time.monotonic() + 5
    while (set(threading.enumerate()) - threads or open_files() - files) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.02)
    assert set(threading.enumerate()) <= threads
    assert open_files() <= files


def open_files() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = descriptor.readlink()
        except OSError:
            continue
        if str(target).startswith("socket:") or "world" in str(target):
            found.add(str(target))
    return found


def test_world_serves_at_two_origins_and_leaves_nothing(temporary: Path) -> None:
    with World.start() as world:
        assert len(list(temporary.iterdir())) == 1
        assert world.portal_url != world.ca_url
        assert status(world.portal_url + "/") == 200
        assert status(world.ca_url + "/") == 200
        addresses = world.addresses()
        assert addresses["portal"] == world.portal_url
        assert addresses["cmp"] == world.cmp_url == f"{world.ca_url}/cmp"
        assert addresses["tsa"] == world.tsa_url == f"{world.ca_url}/tsa"
        assert addresses["ocsp"] == world.ocsp_url == f"{world.ca_url}/ocsp"
        assert addresses["crl"] == world.crl_url == f"{world.ca_url}/crl/issuing.crl"
        assert status(addresses["crl"]) == status(addresses["root certificate"]) == 200
    assert list(temporary.iterdir()) == []
    with pytest.raises(urllib.error.URLError):
        status(world.ca_url)
    world.stop()


def test_stop_does_not_wait_for_idle_connections() -> None:
    with World.start() as world:
        host, port = world.ca_url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as idle:
            idle.sendall(f"GET /certs/root.crt HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            assert idle.recv(100).startswith(b"HTTP/1.1 200")
            start = time.monotonic()
            world.stop()
            assert time.monotonic() - start < 2


def test_worlds_stand_beside_each_other() -> None:
    with World.start() as one, World.start() as other:
        assert one.ca.root != other.ca.root
        assert len({one.ca_url, one.portal_url, other.ca_url, other.portal_url}) == 4
        one.clock.advance(timedelta(days=100))
        assert one.clock.now() - other.clock.now() > timedelta(days=99)


def test_home_keeps_authority_portal_and_addresses(tmp_path: Path) -> None:
    home = tmp_path / "home of a world"
    unit = Unit.example(2)
    with World.start(home) as world:
        addresses, chain = world.addresses(), world.ca.chain()
        certificate = world.ca.issue(ec.generate_private_key(ec.SECP256R1()).public_key(), unit)
        world.add_account("user", "password", unit)
    with serve_world(home) as world:
        assert world.addresses() == addresses
        assert world.ca.chain() == chain
        assert not world.ca.is_revoked(certificate.serial_number)
        assert status(world.portal_url) == status(world.ca_url) == 200
    folder = home / "world"
    assert {path.name for path in folder.iterdir()} == {"ca", "portal", "ports.json", "lock"}
    assert folder.stat().st_mode & 0o077 == 0


def test_two_worlds_do_not_share_a_home(tmp_path: Path) -> None:
    with World.start(tmp_path), pytest.raises(WorldError, match="another world is running"):
        World.start(tmp_path)
    World.start(tmp_path).stop()


def test_taken_port_is_named(tmp_path: Path) -> None:
    with World.start(tmp_path) as world:
        port = int(world.portal_url.rsplit(":", 1)[1])
    taken = pytest.raises(WorldError, match=f"port {port} of 127.0.0.1.*end the program")
    with socket.create_server(("127.0.0.1", port)), taken:
        World.start(tmp_path)
    World.start(tmp_path).stop()


@pytest.mark.parametrize("damage", ["not json", '["x"]', '{"ca": "80"}', '{"ca": 99999}'])
def test_damaged_ports_are_named(tmp_path: Path, damage: str) -> None:
    (tmp_path / "world").mkdir()
    (tmp_path / "world" / "ports.json").write_text(damage)
    with pytest.raises(WorldError, match=r"ports\.json"):
        World.start(tmp_path)


def test_ports_that_were_lost_with_an_authority_left_are_named(tmp_path: Path) -> None:
    with World.start(tmp_path) as world:
        old = int(world.ca_url.rsplit(":", 1)[1])
    ports = tmp_path / "world" / "ports.json"
    kept = json.loads(ports.read_text())
    with socket.create_server(("127.0.0.1", 0)) as free:
        kept["ca"] = free.getsockname()[1]
    ports.write_text(json.dumps(kept))
    with pytest.raises(WorldError, match=f":{old}/crl/root.crl.*cannot move"):
        World.start(tmp_path)


def test_home_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorldError, match="cannot keep its state"):
        World.start(tmp_path / "file")


def test_start_that_fails_leaves_nothing(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("no portal today")

    monkeypatch.setattr("ukey_harness.world.world.create_portal", refuse)
    with pytest.raises(RuntimeError, match="no portal today"):
        World.start()
    assert list(temporary.iterdir()) == []


def test_site_is_taken_down_and_brought_up_again() -> None:
    with World.start() as world:
        for site, url in (("ca", world.ca_url), ("portal", world.portal_url)):
            world.take_down(site)
            with pytest.raises(urllib.error.URLError):
                status(url)
            with pytest.raises(WorldError, match="not a site that serves"):
                world.take_down(site)
            world.bring_up(site)
            assert status(url) == 200
            with pytest.raises(WorldError, match="not a site that was taken down"):
                world.bring_up(site)


def test_program_that_forgets_to_stop_ends_all_the_same(tmp_path: Path) -> None:
    program = "from ukey_harness.world import World; world = World.start(); print(world.ca_url)"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert ended.stdout.startswith("http://127.0.0.1:")
    assert list(tmp_path.iterdir()) == []


def test_state_survives_a_kill(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path\n"
        "from ukey_harness.world import World\n"
        "world = World.start(Path(sys.argv[1])); print(world.ca.root.serial_number, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -9
    with World.start(tmp_path) as world:
        assert world.ca.root.serial_number == int(killed.stdout)


def test_missing_extra_is_named() -> None:
    program = "import sys; sys.modules['starlette'] = None; import ukey_harness.world"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode != 0
    assert "pip install 'ukeylab[world]'" in ended.stderr.splitlines()[-1]

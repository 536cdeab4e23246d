"""Services that hang, drip or die: each wait ends."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx2
import pytest

from ukey_client.errors import Unreachable
from ukey_client.network import exchange
from ukey_client.network.exchange import Exchange


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def run() -> None:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            with peer:
                serve(peer)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    thread.join(15)
    assert not thread.is_alive()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_TIMEOUT", httpx2.Timeout(0.5))
    monkeypatch.setattr(exchange, "_DEADLINE", 1.0)


def test_a_service_that_never_answers() -> None:
    stop = threading.Event()
    with listening(lambda _: stop.wait(10) and None) as url:
        began = time.monotonic()
        with Exchange(url, "时间戳服务") as service, pytest.raises(Unreachable, match="超时"):
            service.get()
        assert time.monotonic() - began < 5
        stop.set()


def test_a_service_that_drips() -> None:
    def drip(peer: socket.socket) -> None:
        peer.recv(4096)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        try:
            for _ in range(50):
                peer.sendall(b"x")
                time.sleep(0.1)
        except OSError:
            return

    with listening(drip) as url:
        began = time.monotonic()
        with Exchange(url, "时间戳服务") as service, pytest.raises(Unreachable, match="超时"):
            service.get()
        assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
    ],
)
def test_a_service_that_is_none(said: bytes) -> None:
    def say(peer: socket.socket) -> None:
        peer.recv(4096)
        peer.sendall(said)

    with listening(say) as url, Exchange(url, "时间戳服务") as service:
        with pytest.raises(Unreachable, match="时间戳服务") as caught:
            service.get("/tsa")
        assert caught.value.exit_code == 7
        assert url in caught.value.message

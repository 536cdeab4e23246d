"""What the client's tests stand on: a key on SoftHSM2, a small CA, a small portal, PDFs."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from small_ca import Mood, SmallCa, running_ca
from small_portal import SmallPortal, running_portal
from softhsm_key import MODULE, Key, Templates

from ukey_client.token import open_token
from ukey_client.token.cryptoki.token import CryptokiToken


@pytest.fixture(scope="session")
def _session_ca() -> Iterator[SmallCa]:
    with running_ca() as ca:
        yield ca


@pytest.fixture
def ca(_session_ca: SmallCa) -> SmallCa:
    _session_ca.mood = Mood()
    return _session_ca


@pytest.fixture(scope="session")
def _templates(_session_ca: SmallCa, tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return Templates(_session_ca, tmp_path_factory.mktemp("templates"))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No PIN, token or store of the outside reaches a test, and none stays behind."""
    for name in ("UKEY_PIN", "UKEY_NEW_PIN", "UKEY_TOKEN", "UKEY_PORTAL", "UKEY_CA", "UKEY_TSA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("UKEY_PORTAL_PASSWORD", raising=False)
    monkeypatch.delenv("UKEY_DEBUG", raising=False)
    monkeypatch.delenv("PKCS11_MODULE", raising=False)
    monkeypatch.setenv("UKEY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SOFTHSM2_CONF", os.environ.get("SOFTHSM2_CONF", ""))
    yield
    loaded = pkcs11._loaded.get(MODULE)
    if loaded is not None and loaded.initialized:
        loaded.finalize()


@pytest.fixture
def make_key(_templates: Templates, ca: SmallCa, tmp_path: Path) -> Callable[..., Key]:
    """Give a provisioned key: kind, and what `provision` takes."""
    del ca

    def make(kind: str = "rsa2048", **wishes: Any) -> Key:
        return _templates.copy_to(tmp_path / "softhsm", kind, **wishes)

    return make


@pytest.fixture
def key(make_key: Callable[..., Key]) -> Key:
    return make_key()


@pytest.fixture
def token(key: Key) -> Iterator[CryptokiToken]:
    with open_token(key.module) as opened:
        yield opened


@pytest.fixture
def portal(ca: SmallCa, tmp_path: Path) -> Iterator[SmallPortal]:
    with running_portal(ca, tmp_path) as running:
        yield running

"""Renewal on a key that is not ours: SoftHSM2, provisioned at the counter of the world."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from renewal_parties import CmpAuthority
from softhsm_key import MODULE

from ukey_client.errors import HolderError, TokenRemoved
from ukey_client.renewal import renew
from ukey_client.token import open_token
from ukey_client.token.cryptoki.token import CryptokiToken
from ukey_harness.world.counter import Counter

PIN = "123456"
CALLS = 12


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CmpAuthority]:
    with CmpAuthority(tmp_path_factory.mktemp("ca")) as authority:
        yield authority


@pytest.fixture(scope="module")
def provisioned(
    authority: CmpAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Give the store of a SoftHSM token with a pair of this kind, made once and to be copied."""
    made: dict[str, Path] = {}

    def provide(kind: str) -> Path:
        if kind not in made:
            store = tmp_path_factory.mktemp(kind)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("SOFTHSM2_CONF", str(_configure(store)))
                subprocess.run(
                    "softhsm2-util --init-token --free --label ukey-hsm --so-pin 12345678"
                    f" --pin {PIN}".split(),
                    check=True,
                    capture_output=True,
                    timeout=30,
                )
                Counter(authority.ca).provision(
                    MODULE, token_label="ukey-hsm", pin=PIN, unit=authority.unit(), key=kind
                )
            made[kind] = store
        return made[kind]

    return provide


@pytest.fixture
def open_copy(
    provisioned: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], CryptokiToken]:
    """Open a fresh copy of a provisioned token, logged in."""

    def open_it(kind: str, name: str) -> CryptokiToken:
        store = tmp_path / name
        shutil.copytree(provisioned(kind), store)
        monkeypatch.setenv("SOFTHSM2_CONF", str(_configure(store)))
        token = open_token(MODULE)
        token.login(PIN)
        return token

    return open_it


def _configure(store: Path) -> Path:
    tokens = store / "tokens"
    tokens.mkdir(exist_ok=True)
    configuration = store / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    return configuration


class Breaking:
    """A token that is pulled out at call number `at`: before it is done, or just after."""

    def __init__(self, token: CryptokiToken, at: int, *, done: bool) -> None:
        self._token, self._at, self._done = token, at, done
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._token, name)
        return self._breaking(value) if callable(value) else value

    def _breaking(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls > self._at or (self.calls == self._at and not self._done):
                raise TokenRemoved
            result = method(*arguments, **named)
            if self.calls == self._at:
                raise TokenRemoved
            return result

        return call


@pytest.mark.parametrize("kind", ["rsa2048", "p256", "p384"])
def test_the_certificate_is_renewed(
    authority: CmpAuthority, open_copy: Callable[[str, str], CryptokiToken], kind: str
) -> None:
    with open_copy(kind, "key") as token:
        (old,) = token.certificates()
        seal, authorities = token.seal_picture(), token.authorities()
        assert seal is not None
        new = renew(token, old, authority.cmp_url, ca_certificates=[authority.ca.root])
        assert token.certificates() == [new]
        assert new.der != old.der
        assert new.label == old.label
        assert new.unit_identifier == old.unit_identifier is not None
        assert [one.id for one in token.holdings() if one.has_private_key] == [new.id]
        assert authority.works(token, new)
        assert token.seal_picture() == seal
        assert token.authorities() == authorities
        assert [one.key_labels for one in token.holdings() if one.has_private_key] == [
            frozenset({old.label})
        ]


@pytest.mark.parametrize("done", [False, True], ids=["undone", "done"])
def test_the_key_is_pulled_out_at_every_call(
    authority: CmpAuthority, open_copy: Callable[[str, str], CryptokiToken], done: bool
) -> None:
    for number in range(1, 100):
        with open_copy("p256", f"key{number}") as token:
            (old,) = token.certificates()
            breaking = Breaking(token, number, done=done)
            try:
                renew(breaking, old, authority.cmp_url, ca_certificates=[authority.ca.root])  # type: ignore[arg-type]
            except HolderError:
                pass
            else:
                break
            usable = [one for one in token.certificates() if authority.works(token, one)]
            assert usable, f"no certificate logs in any more after a break at call {number}"
            chosen = token.certificates()[-1]
            new = renew(token, chosen, authority.cmp_url, ca_certificates=[authority.ca.root])
            assert token.certificates() == [new]
            assert [one.id for one in token.holdings() if one.key_labels] == [new.id]
            assert new.not_after > old.not_after
            assert authority.works(token, new)
            assert token.seal_picture() is not None
    else:
        pytest.fail("the renewal never ended")
    assert number > CALLS


def test_a_key_of_the_holder_that_has_no_certificate_stays(
    authority: CmpAuthority, open_copy: Callable[[str, str], CryptokiToken]
) -> None:
    """Even under the label and in the way of the old pair: it does not bear the mark."""
    with open_copy("p256", "key") as token:
        (old,) = token.certificates()
        own = token.generate_pair(old)
        new = renew(token, old, authority.cmp_url, ca_certificates=[authority.ca.root])
        with_keys = {one.id for one in token.holdings() if one.has_private_key}
        assert with_keys == {own.id, new.id}
        assert token.sign_with(own.id, b"still here")

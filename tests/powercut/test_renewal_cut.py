"""A renewal whose key, or whose program, is killed: the next run ends it, and nothing is left over.

The whole chain: the client, python-pkcs11, our module, the rack, the key's file; and an authority.
Where two cuts leave the same, on the key and at the authority, the renewal is ended once. Between
two messages of a program before which it left the same it is not killed; but with
UKEY_POWERCUT_SEEDS=50, say, it is killed at each.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hosting import Host
from renewal_parties import CmpAuthority
from state import KeyState, look

from ukey_client.errors import HolderError
from ukey_client.renewal import renew
from ukey_client.token import open_token
from ukey_emulator import module_path
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.slots import Slots
from ukey_emulator.terms import CKA
from ukey_harness.world.counter import Counter

PIN = "123456"
ALL = int(os.environ.get("UKEY_POWERCUT_SEEDS", "1")) > 1


@pytest.fixture(scope="module")
def host(shim: Path) -> Iterator[Host]:
    host = Host(shim)
    yield host
    host.stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CmpAuthority]:
    with CmpAuthority(tmp_path_factory.mktemp("ca")) as authority:
        yield authority


Left = tuple[tuple[tuple[bytes, bytes, bool], ...], int]
"""What a cut has left: on the key, and how often the authority was asked."""


class Renewals:
    """A key with a certificate that can be renewed, again and again from the same beginning."""

    def __init__(self, host: Host, authority: CmpAuthority, folder: Path) -> None:
        self.host, self._authority = host, authority
        self._base, self.home = folder / "base", folder / "home"
        self.home.mkdir(mode=0o700)
        keyring = Keyring(self.home / "keys", Slots())
        keyring.new(name="key", label="renewed")
        keyring.close()
        self.start()
        Counter(authority.ca).provision(
            module_path(), token_label="renewed", pin=PIN, unit=authority.unit(), key="p256"
        )
        self.end()
        shutil.copytree(self.home / "keys", self._base)
        self.before = self._look()
        self._root = folder / "root.pem"
        self._root.write_bytes(authority.ca.root.public_bytes(Encoding.PEM))

    def restore(self) -> None:
        """Put the key back to the beginning; nobody may serve it."""
        self._authority.wire.mend()
        shutil.rmtree(self.home / "keys")
        shutil.copytree(self._base, self.home / "keys")

    def start(self, step: int = 0, *, torn: bool = False) -> None:
        """Serve the key; it is cut at that step, or not at all."""
        assert self.host.ask(rack=str(self.home), stop=[step, torn]) == "ready"

    def end(self) -> bool:
        """End the rack; tell whether it was cut before."""
        return self.host.ask(end=True) == "killed"

    def renew(self) -> Any:
        """Renew what a holder would choose, and give it; HolderError."""
        with open_token(module_path()) as token:
            token.login(PIN)
            return renew(
                token,
                token.certificates()[-1],
                self._authority.cmp_url,
                ca_certificates=[self._authority.ca.root],
            )

    def program(self, send: int) -> list[str]:
        """Renew in a program that is killed before that message."""
        words = {"home": str(self.home), "url": self._authority.cmp_url, "ca": str(self._root)}
        return self.host.ask(program=words, send=send).split()

    def left(self) -> Left:
        """Tell what a cut has left; the rack has ended."""
        found = self._look()
        return _objects(found, self.before), self._authority.wire.count

    def check(self, where: str) -> None:
        """Check that the key works as it is, and that the next run ends the renewal."""
        self.start()
        with open_token(module_path()) as token:
            token.login(PIN)
            usable = [one for one in token.certificates() if self._authority.works(token, one)]
            assert usable, f"{where}: no certificate on the key logs in any more"
        new = self.renew()
        with open_token(module_path()) as token:
            token.login(PIN)
            assert token.certificates() == [new], where
            assert self._authority.works(token, new), where
            assert token.seal_picture() is not None, where
        self.end()
        found = self._look()
        assert _labels(found) == _labels(self.before), f"{where}: something is left over"
        assert found.pins == self.before.pins, where
        old = self.before.private or {}
        assert not {*old} & {*(found.private or {})}, f"{where}: the old key is still there"

    def _look(self) -> KeyState:
        copy = self.home.with_name("copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.home / "keys", copy / "keys")
        return look(copy).keys["key"]


def _objects(state: KeyState, before: KeyState) -> tuple[tuple[bytes, bytes, bool], ...]:
    """Give what objects there are: their classes, labels, and whether they were there before."""
    old = {*before.public, *(before.private or {})}
    objects = {**state.public, **(state.private or {})}
    return tuple(
        sorted(
            (each[CKA.CLASS], each.get(CKA.LABEL, b""), name in old)
            for name, each in objects.items()
        )
    )


def _labels(state: KeyState) -> list[tuple[bytes, bytes]]:
    return [(kind, label) for kind, label, _ in _objects(state, state)]


@pytest.fixture
def renewals(
    host: Host, authority: CmpAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Renewals]:
    monkeypatch.setenv("UKEY_HOME", str(tmp_path / "home"))
    yield Renewals(host, authority, tmp_path)
    loaded = pkcs11._loaded.get(module_path())
    if loaded is not None and loaded.initialized:
        loaded.finalize()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("torn", [False, True] if ALL else [False])
def test_the_key_loses_its_power_at_each_write_of_a_renewal(renewals: Renewals, torn: bool) -> None:
    known: set[Left] = set()
    for step in range(1, 1000):
        renewals.restore()
        renewals.start(step, torn=torn)
        failed = False
        try:
            renewals.renew()
        except HolderError:
            failed = True
        if not renewals.end():
            assert not failed
            break
        left = renewals.left()
        if left not in known:
            known.add(left)
            renewals.check(f"step {step}")
    print(f"renewal: {step - 1} cuts of the key, {len(known)} states")  # noqa: T201 - who runs it
    assert step > 20
    assert len(known) > 5


@pytest.mark.timeout(600)
def test_the_program_is_killed_while_it_renews(renewals: Renewals) -> None:
    known: dict[int, Left] = {}
    ended: set[Left] = set()

    def cut(message: int) -> bool:
        """Kill the program before a message; tell whether it came so far."""
        renewals.restore()
        renewals.start()
        killed = renewals.program(message)[0] == "killed"
        renewals.end()
        known[message] = left = renewals.left()
        if left not in ended:
            ended.add(left)
            renewals.check(f"message {message}")
        return killed

    renewals.restore()
    renewals.start()
    (last,) = map(int, renewals.program(0)[1:])
    renewals.end()
    cut(1)
    cut(last)
    parts = [(1, last)]
    while parts:
        first, after = parts.pop()
        if after - first > 1 and (ALL or known[first] != known[after]):
            middle = (first + after) // 2
            assert cut(middle)
            parts += [(first, middle), (middle, after)]
    print(f"renewal: {len(known)} programs killed, {len(ended)} states")  # noqa: T201 - as above
    assert len(ended) > 10

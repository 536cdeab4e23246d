"""What only a key with a counter and a plug can show: tries left, locking, being pulled out."""

from collections.abc import Callable, Iterator

import pkcs11
import pytest
from click.testing import CliRunner
from small_ca import SmallCa
from small_pdf import make_pdf
from small_portal import SmallPortal
from softhsm_key import PIN, UNIT, Key, provision

from ukey_client import cli
from ukey_client.errors import (
    HolderError,
    PinIncorrect,
    PinLocked,
    PinUnacceptable,
    TokenAbsent,
    TokenNotInitialised,
    TokenRemoved,
)
from ukey_client.login import log_in
from ukey_client.login.portal import Portal
from ukey_client.pin import change_pin
from ukey_client.sealing import seal_pdf
from ukey_client.token import open_token
from ukey_emulator import module_path
from ukey_emulator.remote import KeyInfo, RackProcess, Remote


@pytest.fixture
def rack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    with RackProcess.start() as process:
        monkeypatch.setenv("UKEY_HOME", str(process.home))
        monkeypatch.setenv("PKCS11_MODULE", module_path())
        with process.remote() as remote:
            yield remote
        loaded = pkcs11._loaded.get(module_path())
        if loaded is not None and loaded.initialized:
            loaded.finalize()


@pytest.fixture
def info(rack: Remote) -> KeyInfo:
    return rack.new_key(tries=4)


@pytest.fixture
def key(info: KeyInfo, ca: SmallCa) -> Key:
    return provision(ca, label=info.label, module=module_path(), kind="p256")


def test_the_tries_left_are_told_exactly(key: Key) -> None:
    with open_token(key.module) as token:
        assert token.pin_state().tries_left == 4
        for left in (3, 2):
            with pytest.raises(PinIncorrect, match=f"剩余 {left} 次") as caught:
                token.login("000000")
            assert caught.value.tries_left == left
        with pytest.raises(PinIncorrect, match="仅剩最后一次") as caught:
            token.login("000000")
        assert caught.value.final_try
        token.login(PIN)
        assert token.pin_state().tries_left == 4


def test_the_last_wrong_try_locks_the_key(key: Key) -> None:
    with open_token(key.module) as token:
        for _ in range(3):
            with pytest.raises(PinIncorrect):
                token.login("000000")
        with pytest.raises(PinLocked, match="柜台解锁") as caught:
            token.login("000000")
        assert caught.value.just_now
        assert token.pin_state().locked
        with pytest.raises(PinLocked) as caught:
            token.login(PIN)
        assert not caught.value.just_now
        with pytest.raises(PinLocked):
            change_pin(token, PIN, "24681357")


def test_a_wrong_old_pin_spends_a_try(key: Key) -> None:
    with open_token(key.module) as token:
        with pytest.raises(PinIncorrect, match="剩余 3 次"):
            change_pin(token, "000000", "24681357")
        with pytest.raises(PinUnacceptable):
            change_pin(token, "000000", "1")
        assert token.pin_state().tries_left == 3


def test_login_and_seal(key: Key, portal: SmallPortal, ca: SmallCa) -> None:
    with open_token(key.module) as token, Portal(portal.url) as site:
        (held,) = token.certificates()
        token.login(PIN)
        assert log_in(token, held, site).unit == UNIT
        assert seal_pdf(token, held, make_pdf(), tsa_url=ca.tsa_url)


def test_pulled_out_between_two_commands(rack: Remote, info: KeyInfo, key: Key) -> None:
    rack.unplug(info.name)
    with pytest.raises(TokenAbsent, match="没有检测到"):
        open_token(key.module)
    rack.plug(info.name)
    with open_token(key.module) as token:
        assert token.certificates()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_pulled_out_in_the_middle(rack: Remote, info: KeyInfo, key: Key) -> None:
    with open_token(key.module) as token:
        (held,) = token.certificates()
        token.login(PIN)
        rack.unplug(info.name)
        actions: list[Callable[[], object]] = [
            lambda: token.sign(held, b"text"),
            token.certificates,
            token.seal_picture,
            token.pin_state,
            lambda: token.generate_pair(held),
        ]
        for action in actions:
            with pytest.raises(TokenRemoved, match="拔出"):
                action()
        rack.plug(info.name)
        with pytest.raises(TokenRemoved):  # a session does not survive
            token.sign(held, b"text")
    with open_token(key.module) as token:
        token.login(PIN)
        assert token.sign(held, b"text")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_pulled_out_when_the_pin_is_asked_for(
    rack: Remote, info: KeyInfo, key: Key, ca: SmallCa
) -> None:
    with open_token(key.module) as token:
        (held,) = token.certificates()

        def pull_out() -> None:
            rack.unplug(info.name)
            token.login(PIN)

        with pytest.raises(TokenRemoved):
            seal_pdf(token, held, make_pdf(), tsa_url=ca.tsa_url, before_signing=pull_out)


def test_no_rack_is_running(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("UKEY_HOME", f"{tmp_path}/nobody")
    with pytest.raises(TokenAbsent):
        open_token(module_path())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_rack_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    with RackProcess.start() as process:
        monkeypatch.setenv("UKEY_HOME", str(process.home))
        with process.remote() as remote:
            remote.new_key()
        token = open_token(module_path())
        process.stop()
        with pytest.raises(HolderError):
            token.certificates()
        with pytest.raises(HolderError):
            token.login(PIN)
        token.close()


def test_a_key_that_was_never_initialised(rack: Remote) -> None:
    rack.new_key(initialized=False)
    with pytest.raises(TokenNotInitialised):
        open_token(module_path())


def test_the_commands_say_it(rack: Remote, info: KeyInfo, key: Key, portal: SmallPortal) -> None:
    def login(pin: str) -> tuple[int, str]:
        where = ["--portal", portal.url]
        result = CliRunner(env={"UKEY_PIN": pin}).invoke(cli.login, where)
        assert "Traceback" not in result.output
        return result.exit_code, result.output

    assert key
    code, said = login("000000")
    assert (code, "剩余 3 次机会" in said) == (5, True)
    login("000000")
    login("000000")
    code, said = login("000000")
    assert (code, "已锁定" in said) == (5, True)
    code, said = login(PIN)
    assert (code, "已锁定" in said) == (5, True)
    rack.unplug(info.name)
    code, said = login(PIN)
    assert (code, "没有检测到证书介质" in said) == (3, True)

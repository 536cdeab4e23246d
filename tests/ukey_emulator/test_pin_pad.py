"""A key with a PIN pad: programs give NULL, and what is typed decides."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from program import PIN, SO_PIN, Program

from ukey_emulator.cryptoki.wire import Mechanism, Out
from ukey_emulator.pad import Button
from ukey_emulator.rack.keyring import KeyInfo, Keyring
from ukey_emulator.remote import RackProcess, RemoteError
from ukey_emulator.terms import CKF, CKM, CKR, CKU

UKEY = Path(sys.executable).parent / "ukey"
COUNT = Out(asked=True, capacity=None)
ROOM = Out(asked=True, capacity=1000)
CANCELED = CKR.FUNCTION_CANCELED
PATIENCE = 30
NEW = b"654321"


class Holder:
    """Who sits before the pad of a key."""

    def __init__(self, keyring: Keyring, key: KeyInfo) -> None:
        self.slots = keyring._slots
        self.key = key
        self.chip = keyring.plugged(key.name)

    def types(self, *acts: bytes | Button) -> None:
        for act in acts:
            self.slots.press(self.chip, act)

    def is_asked(self) -> bool:
        return self.slots.pad(self.chip)[1]

    def typed_all(self) -> bool:
        return self.slots.pad(self.chip)[0] == 0


@pytest.fixture
def holder(keyring: Keyring, program: Program) -> Holder:
    key = keyring.new(profile="pin-pad")
    program.C_GetSlotList(True, COUNT)
    return Holder(keyring, key)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_the_token_says_that_it_has_a_pad(program: Program, holder: Holder) -> None:
    def flags(slot: int) -> int:
        return int.from_bytes(program.C_GetTokenInfo(slot, True)[96:104], "little")

    assert flags(holder.key.slot) & CKF.PROTECTED_AUTHENTICATION_PATH
    assert not flags(0) & CKF.PROTECTED_AUTHENTICATION_PATH
    assert program.rv("C_Login", program.open(), CKU.USER, None) == CKR.ARGUMENTS_BAD


def test_a_login_takes_what_is_typed(program: Program, holder: Holder) -> None:
    session = program.open(holder.key.slot)
    holder.types(b"000000", PIN)
    assert program.rv("C_Login", session, CKU.USER, None) == CKR.PIN_INCORRECT
    program.C_Login(session, CKU.USER, None)
    holder.types(b"not asked for")
    assert program.rv("C_Login", session, CKU.USER, None) == CKR.USER_ALREADY_LOGGED_IN
    assert not holder.typed_all()


def test_a_program_may_not_give_the_pin_itself(
    keyring: Keyring, program: Program, holder: Holder, tmp_path: Path
) -> None:
    session = program.open(holder.key.slot)
    assert program.rv("C_Login", session, CKU.USER, PIN) == CKR.ARGUMENTS_BAD
    path = tmp_path / "both.toml"
    path.write_text("[pad]\nhost_pins = true")
    slot = keyring.new(profile=str(path)).slot
    program.C_GetSlotList(True, COUNT)
    program.C_Login(program.open(slot), CKU.USER, PIN)


@pytest.mark.parametrize("button", Button)
def test_a_holder_who_does_not_want_spends_no_try(
    program: Program, holder: Holder, button: Button
) -> None:
    session = program.open(holder.key.slot)
    holder.types(button)
    assert program.rv("C_Login", session, CKU.USER, None) == CANCELED
    record = holder.chip.pin(1)  # type: ignore[arg-type] # CKU_USER
    assert record is not None
    assert record.tries_left == record.tries


def test_time_runs_out(keyring: Keyring, program: Program, tmp_path: Path) -> None:
    path = tmp_path / "hasty.toml"
    path.write_text("[pad]\ntimeout = 0.02")
    slot = keyring.new(profile=str(path)).slot
    program.C_GetSlotList(True, COUNT)
    assert program.rv("C_Login", program.open(slot), CKU.USER, None) == CANCELED


def test_a_call_waits_for_its_holder_and_nobody_waits_for_the_call(
    program: Program, other_program: Program, holder: Holder
) -> None:
    session = program.open(holder.key.slot)
    with ThreadPoolExecutor() as pool:
        code = pool.submit(program.rv, "C_Login", session, CKU.USER, None)
        until(holder.is_asked)
        other_program.C_GetSlotList(True, COUNT)
        other = other_program.open(holder.key.slot)
        other_program.C_DigestInit(other, Mechanism(CKM.SHA256, None))
        assert len(other_program.C_Digest(other, b"text", ROOM)) == 32
        other_program.open(user=CKU.USER)
        holder.types(PIN)
        assert code.result(PATIENCE) == CKR.OK


@pytest.mark.parametrize("way", ["pull", "finalize"])
def test_a_pull_ends_the_wait(keyring: Keyring, program: Program, holder: Holder, way: str) -> None:
    session = program.open(holder.key.slot)
    with ThreadPoolExecutor() as pool:
        code = pool.submit(program.rv, "C_Login", session, CKU.USER, None)
        until(holder.is_asked)
        if way == "pull":
            keyring.unplug(holder.key.name)
            assert code.result(PATIENCE) == CKR.DEVICE_REMOVED
        else:
            program.face.detach(program.application)
            assert code.result(PATIENCE) == CKR.CRYPTOKI_NOT_INITIALIZED


def test_nobody_is_asked_for_a_pin_that_is_locked(program: Program, holder: Holder) -> None:
    session = program.open(holder.key.slot)
    holder.types(*[b"000000"] * 10)
    for _ in range(10):
        assert program.rv("C_Login", session, CKU.USER, None) == CKR.PIN_INCORRECT
    assert program.rv("C_Login", session, CKU.USER, None) == CKR.PIN_LOCKED


def test_pins_are_changed_and_set_on_the_pad(program: Program, holder: Holder) -> None:
    slot = holder.key.slot
    session = program.open(slot)
    holder.types(PIN, NEW)
    program.C_SetPIN(session, None, None)
    assert program.rv("C_SetPIN", session, NEW, None) == CKR.ARGUMENTS_BAD
    holder.types(NEW, Button.CANCEL)
    assert program.rv("C_SetPIN", session, None, None) == CANCELED
    holder.types(SO_PIN, PIN)
    program.C_Login(session, CKU.SO, None)
    program.C_InitPIN(session, None)
    program.C_Logout(session)
    holder.types(PIN)
    program.C_Login(session, CKU.USER, None)
    assert holder.typed_all()


def test_a_token_is_initialised_from_the_pad(program: Program, holder: Holder) -> None:
    slot, label = holder.key.slot, b"new".ljust(32)
    session = program.open(slot)
    assert program.rv("C_InitToken", slot, None, label) == CKR.SESSION_EXISTS
    program.C_CloseSession(session)
    holder.types(b"00000000", SO_PIN)
    assert program.rv("C_InitToken", slot, None, label) == CKR.PIN_INCORRECT
    program.C_InitToken(slot, None, label)
    assert program.C_GetTokenInfo(slot, True)[:32] == label


def test_a_key_that_asks_each_time_asks_on_the_pad(program: Program, holder: Holder) -> None:
    session = program.open(holder.key.slot)
    holder.types(PIN)
    program.C_Login(session, CKU.USER, None)
    _, signer = program.ec_pair(session, ALWAYS_AUTHENTICATE=True)
    program.C_SignInit(session, Mechanism(CKM.ECDSA_SHA256, None), signer)
    holder.types(b"000000", PIN)
    context = CKU.CONTEXT_SPECIFIC
    assert program.rv("C_Login", session, context, None) == CKR.PIN_INCORRECT
    program.C_Login(session, context, None)
    assert len(program.C_Sign(session, b"text", ROOM)) == 64


@pytest.fixture(scope="module")
def rack() -> Iterator[RackProcess]:
    with RackProcess.start() as running:
        yield running


def ukey(rack: RackProcess, *words: str, given: str = "") -> tuple[int, str]:
    done = subprocess.run(
        [UKEY, *words],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "UKEY_HOME": str(rack.home)},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_commands_type_and_tell_no_pin(
    rack: RackProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with rack.remote() as remote:
        remote.new_key(name="pad", profile="pin-pad")
        remote.new_key(name="plain")
        code, told = ukey(rack, "pad", "enter", "pad", "--json", given="246810\n135790\n")
        assert (code, json.loads(told)["queued"]) == (0, 2)
        assert ukey(rack, "pad", "cancel", "pad")[0] == 0
        assert ukey(rack, "pad", "timeout", "pad")[0] == 0
        code, shown = ukey(rack, "pad", "show", "pad")
        assert shown.startswith("pad  4 to be typed")
        everything = told + shown + json.dumps([remote.trace(), remote.events(), remote.status()])
        assert "246810" not in everything
        code, told = ukey(rack, "pad", "show", "plain")
        assert code == 1
        assert "no PIN pad" in told
        with pytest.raises(RemoteError, match="cancel or timeout"):
            remote.press("pad", "ok")
        remote.unplug("pad")
        with pytest.raises(RemoteError, match="pulled out"):
            remote.pad("pad")
        remote.plug("pad")
        assert remote.pad("pad").queued == 0
    assert "246810" not in caplog.text

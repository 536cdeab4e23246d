"""PINs, their counters and who is logged in."""

import struct
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from program import PIN, ROOM, SO_PIN, Program, attributes

from ukey_emulator.chip import Chip, PinRefusal, Refusal, Role
from ukey_emulator.chip.factory import Factory
from ukey_emulator.chip.pins import PinRecord
from ukey_emulator.cryptoki.wire import Mechanism, Out
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.terms import CKA, CKF, CKM, CKO, CKR, CKS, CKU

TRIES = 3


def flags(program: Program) -> int:
    info = program.C_GetTokenInfo(0, True)
    return int(struct.unpack_from("<Q", info, 96)[0])


def state(program: Program, session: int) -> int:
    return int(struct.unpack_from("<4Q", program.C_GetSessionInfo(session, True))[1])


def test_flags_tell_the_counter_down_to_the_lock(program: Program) -> None:
    session = program.open()
    assert not flags(program) & CKF.USER_PIN_COUNT_LOW
    for _ in range(8):
        assert program.rv("C_Login", session, CKU.USER, b"wrong!") == CKR.PIN_INCORRECT
    assert flags(program) & CKF.USER_PIN_COUNT_LOW
    assert not flags(program) & CKF.USER_PIN_FINAL_TRY
    program.rv("C_Login", session, CKU.USER, b"wrong!")
    assert flags(program) & CKF.USER_PIN_FINAL_TRY
    assert program.rv("C_Login", session, CKU.USER, b"wrong!") == CKR.PIN_INCORRECT
    assert flags(program) & CKF.USER_PIN_LOCKED
    assert program.rv("C_Login", session, CKU.USER, PIN) == CKR.PIN_LOCKED
    assert program.rv("C_SetPIN", session, PIN, b"654321") == CKR.PIN_LOCKED


def test_zeros_at_the_end_of_a_pin_count(program: Program) -> None:
    session = program.open()
    for wrong in (PIN + b"\0", PIN + bytes(3)):
        assert program.rv("C_Login", session, CKU.USER, wrong) == CKR.PIN_INCORRECT
    assert program.rv("C_Login", session, CKU.SO, SO_PIN + b"\0") == CKR.PIN_INCORRECT
    program.C_Login(session, CKU.USER, PIN)
    program.C_SetPIN(session, PIN, b"abcdef\0")
    program.C_Logout(session)
    assert program.rv("C_Login", session, CKU.USER, b"abcdef") == CKR.PIN_INCORRECT
    program.C_Login(session, CKU.USER, b"abcdef\0")


def test_the_so_unlocks_and_private_objects_are_still_there(program: Program) -> None:
    session = program.open(user=CKU.USER)
    program.C_CreateObject(
        session,
        attributes(CLASS=int(CKO.DATA), TOKEN=True, PRIVATE=True, VALUE=b"mine"),
        True,
    )
    program.C_Logout(session)
    for _ in range(10):
        program.rv("C_Login", session, CKU.USER, b"wrong!")
    program.C_Login(session, CKU.SO, SO_PIN)
    assert program.find(session, CLASS=int(CKO.DATA)) == []
    program.C_InitPIN(session, b"new-pin")
    program.C_Logout(session)
    assert not flags(program) & (CKF.USER_PIN_LOCKED | CKF.USER_PIN_COUNT_LOW)
    assert program.rv("C_Login", session, CKU.USER, PIN) == CKR.PIN_INCORRECT
    program.C_Login(session, CKU.USER, b"new-pin")
    (found,) = program.find(session, CLASS=int(CKO.DATA))
    assert program.read(session, found, CKA.VALUE) == b"mine"


def test_the_exact_count_shows_in_the_hardware_feature(program: Program) -> None:
    session = program.open()
    program.rv("C_Login", session, CKU.USER, b"wrong!")
    (feature,) = program.find(session, CLASS=int(CKO.HW_FEATURE))
    assert program.read(session, feature, 0x80554B01) == struct.pack("<Q", 9)
    assert program.find(session) == []


def test_a_try_is_spent_before_the_pin_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    chip = Chip.make(path, "1", "label", Factory.of(PIN, SO_PIN, TRIES))

    def power_cut(*_: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(PinRecord, "open", power_cut)
        with pytest.raises(KeyboardInterrupt):
            chip.log_in(Role.USER, b"guess")
    chip.close()
    again = Chip.open(path)
    record = again.pin(Role.USER)
    assert record is not None
    assert record.tries_left == TRIES - 1
    again.close()


def test_the_counter_survives_pulling_the_key_out(program: Program, keyring: Keyring) -> None:
    session = program.open()
    program.rv("C_Login", session, CKU.USER, b"wrong!")
    keyring.unplug("key")
    assert program.rv("C_GetTokenInfo", 0, True) == CKR.TOKEN_NOT_PRESENT
    keyring.plug("key")
    assert flags(program) & CKF.USER_PIN_COUNT_LOW


def test_all_sessions_of_one_program_share_its_login_and_no_other_does(
    program: Program, other_program: Program
) -> None:
    reading, writing = program.open(writable=False), program.open()
    stranger = other_program.open()
    program.C_Login(reading, CKU.USER, PIN)
    assert state(program, reading) == CKS.RO_USER_FUNCTIONS
    assert state(program, writing) == CKS.RW_USER_FUNCTIONS
    assert state(other_program, stranger) == CKS.RW_PUBLIC_SESSION
    program.C_Logout(writing)
    assert state(program, reading) == CKS.RO_PUBLIC_SESSION


def test_closing_the_last_session_logs_out(program: Program) -> None:
    first, second = program.open(), program.open(user=CKU.USER)
    program.C_CloseSession(second)
    assert state(program, first) == CKS.RW_USER_FUNCTIONS
    program.C_CloseSession(first)
    assert state(program, program.open()) == CKS.RW_PUBLIC_SESSION


@pytest.mark.parametrize(
    ("present", "wanted", "code"),
    [
        (CKU.USER, CKU.USER, CKR.USER_ALREADY_LOGGED_IN),
        (CKU.USER, CKU.SO, CKR.USER_ANOTHER_ALREADY_LOGGED_IN),
        (CKU.SO, CKU.SO, CKR.USER_ALREADY_LOGGED_IN),
    ],
)
def test_one_login_at_a_time(program: Program, present: CKU, wanted: CKU, code: CKR) -> None:
    session = program.open(user=present)
    assert program.rv("C_Login", session, wanted, PIN) == code


def test_the_so_and_reading_sessions_exclude_each_other(program: Program) -> None:
    session, reading = program.open(), program.open(writable=False)
    assert program.rv("C_Login", session, CKU.SO, SO_PIN) == CKR.SESSION_READ_ONLY_EXISTS
    program.C_CloseSession(reading)
    program.C_Login(session, CKU.SO, SO_PIN)
    assert (
        program.rv("C_OpenSession", 0, CKF.SERIAL_SESSION, True) == CKR.SESSION_READ_WRITE_SO_EXISTS
    )


def test_initialising_wipes_and_asks_for_the_so_pin(program: Program) -> None:
    session = program.open(user=CKU.USER)
    program.C_CreateObject(session, attributes(CLASS=int(CKO.DATA), TOKEN=True), True)
    label = b"fresh".ljust(32)
    assert program.rv("C_InitToken", 0, SO_PIN, label) == CKR.SESSION_EXISTS
    program.C_CloseSession(session)
    assert program.rv("C_InitToken", 0, b"wrong pin", label) == CKR.PIN_INCORRECT
    program.C_InitToken(0, SO_PIN, label)
    assert program.C_GetTokenInfo(0, True)[:32] == label
    assert not flags(program) & CKF.USER_PIN_INITIALIZED
    session = program.open()
    assert program.find(session) == []
    assert program.rv("C_Login", session, CKU.USER, PIN) == CKR.USER_PIN_NOT_INITIALIZED
    # That code is C_Login's alone (§5.1.6): here the old PIN is simply wrong.
    assert program.rv("C_SetPIN", session, PIN, b"654321") == CKR.PIN_INCORRECT


def test_a_label_may_end_as_a_string_of_c_does(program: Program) -> None:
    program.C_InitToken(0, SO_PIN, b"fresh\0" + b"\xff" * 26)
    assert program.C_GetTokenInfo(0, True)[:32] == b"fresh".ljust(32)
    assert program.rv("C_InitToken", 0, SO_PIN, b"\xff".ljust(32)) == CKR.ARGUMENTS_BAD


def test_a_blank_key_takes_its_so_pin_from_the_first_initialisation(
    program: Program, keyring: Keyring
) -> None:
    slot = keyring.new(initialized=False).slot
    program.C_GetSlotList(True, Out(asked=True, capacity=None))
    assert program.rv("C_OpenSession", slot, 6, True) == CKR.TOKEN_NOT_RECOGNIZED
    program.C_InitToken(slot, b"first so pin", b"mine".ljust(32))
    session = program.open(slot)
    program.C_Login(session, CKU.SO, b"first so pin")
    program.C_InitPIN(session, b"2468")
    program.C_Logout(session)
    program.C_Login(session, CKU.USER, b"2468")


class Counter(RuleBasedStateMachine):
    """The user's counter against a plain number, the file closed and opened at any time."""

    path: Path

    @initialize()
    def make(self) -> None:
        self.file = self.path / uuid.uuid4().hex
        self.chip = Chip.make(self.file, "1", "label", Factory.of(PIN, SO_PIN, TRIES))
        self.left = TRIES
        self.pin = PIN

    @rule(right=st.booleans())
    def try_it(self, *, right: bool) -> None:
        try:
            era = self.chip.log_in(Role.USER, self.pin if right else b"wrong!")
        except PinRefusal as refusal:
            locked = self.left == 0
            assert locked or not right
            assert refusal.code is (CKR.PIN_LOCKED if locked else CKR.PIN_INCORRECT)
            self.left = max(0, self.left - 1)
        else:
            assert right
            assert self.left
            self.left = TRIES
            self.chip.log_out(Role.USER, era)

    @rule(pin=st.binary(min_size=1, max_size=70), right=st.booleans())
    def change(self, pin: bytes, *, right: bool) -> None:
        try:
            self.chip.change_pin(Role.USER, self.pin if right else self.pin + b"x", pin)
        except PinRefusal:
            self.left = max(0, self.left - 1)
        except Refusal as refusal:
            assert refusal.code is CKR.PIN_LEN_RANGE
            assert not 4 <= len(pin) <= 64
        else:
            self.left = TRIES
            self.pin = pin

    @rule(pin=st.binary(min_size=4, max_size=64))
    def unlock(self, pin: bytes) -> None:
        era = self.chip.log_in(Role.SO, SO_PIN)
        self.chip.set_user_pin(pin)
        self.chip.log_out(Role.SO, era)
        self.left = TRIES
        self.pin = pin

    @rule()
    def pull_out_and_plug_in(self) -> None:
        self.chip.close()
        self.chip = Chip.open(self.file)

    @invariant()
    def counts_alike(self) -> None:
        record = self.chip.pin(Role.USER)
        assert record is not None
        assert record.tries_left == self.left

    def teardown(self) -> None:
        self.chip.close()


def test_the_counter_is_a_plain_number(tmp_path: Path) -> None:
    Counter.path = tmp_path
    run_state_machine_as_test(
        Counter, settings=settings(max_examples=15, stateful_step_count=12, deadline=None)
    )


@settings(max_examples=20, deadline=None)
@given(pin=st.text(min_size=4, max_size=16))
def test_any_text_is_a_pin(tmp_path_factory: pytest.TempPathFactory, pin: str) -> None:
    path = tmp_path_factory.mktemp("pin") / "key"
    chip = Chip.make(path, "1", "label", Factory.of(pin.encode(), SO_PIN, TRIES))
    chip.log_in(Role.USER, pin.encode())
    chip.close()


def test_the_context_login_that_locks_the_pin_logs_out(program: Program) -> None:
    session = program.open(user=CKU.USER)
    _, private = program.ec_pair(session, ALWAYS_AUTHENTICATE=True)
    program.C_SignInit(session, Mechanism(CKM.ECDSA, None), private)
    for _ in range(9):
        code = program.rv("C_Login", session, CKU.CONTEXT_SPECIFIC, b"wrong!")
        assert code == CKR.PIN_INCORRECT
    assert program.rv("C_Login", session, CKU.CONTEXT_SPECIFIC, b"wrong!") == CKR.PIN_LOCKED
    assert state(program, session) == CKS.RW_PUBLIC_SESSION
    code = program.rv("C_Login", session, CKU.CONTEXT_SPECIFIC, PIN)
    assert code == CKR.USER_NOT_LOGGED_IN
    # What goes on with the key hears of it, as after no login at all (§4.10).
    assert program.rv("C_Sign", session, bytes(32), ROOM) == CKR.USER_NOT_LOGGED_IN
    assert program.rv("C_Sign", session, bytes(32), ROOM) == CKR.OPERATION_NOT_INITIALIZED


def test_a_context_login_that_nothing_waits_for(program: Program) -> None:
    """Its improper use has one code, and C_Login knows no CKR_USER_NOT_LOGGED_IN (§5.6.8)."""
    session = program.open()
    for user in (None, CKU.USER):
        if user is not None:
            program.C_Login(session, user, PIN)
        code = program.rv("C_Login", session, CKU.CONTEXT_SPECIFIC, PIN)
        assert code == CKR.OPERATION_NOT_INITIALIZED


def test_a_new_slot_shows_when_the_program_looks_for_it(program: Program, keyring: Keyring) -> None:
    room = Out(asked=True, capacity=10)
    assert program.C_GetSlotList(True, room) == [0]
    new = keyring.new().slot
    assert program.C_GetSlotList(True, room) == [0]
    assert program.rv("C_GetSlotInfo", new, True) == CKR.SLOT_ID_INVALID
    assert program.C_GetSlotList(True, Out(asked=True, capacity=None)) == 2
    assert program.C_GetSlotList(True, room) == [0, new]
    program.C_GetSlotInfo(new, True)

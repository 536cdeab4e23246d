"""PIN and PUK of a card (NIST SP 800-73-5 Part 2 §3.2.1 to §3.2.3), and who is logged in."""

import uuid
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from piv_program import PivProgram, tlv
from program import SO_PIN, Program

from ukey_emulator.card.card import Card
from ukey_emulator.chip import Chip, PinRefusal, Role
from ukey_emulator.chip.factory import Factory
from ukey_emulator.epoch import Epoch
from ukey_emulator.terms import CKR, CKU

TRIES = 10
BLOCKED = 0x6983
PIV, MANAGEMENT = bytes.fromhex("A000000308"), bytes.fromhex("A000000527471117")


def field(pin: bytes) -> bytes:
    return pin.ljust(8, b"\xff")


PIN, PUK, WRONG, OTHER = field(b"123456"), b"12345678", field(b"654321"), field(b"24682468")


def send(card: Card, ins: int, p1: int, p2: int, data: bytes = b"") -> int:
    answer = card.transmit(
        bytes([0, ins, p1, p2, len(data)]) + data if data else bytes([0, ins, p1, p2])
    )
    if answer[-2] != 0x90:
        assert len(answer) == 2
    return int.from_bytes(answer[-2:])


def verify(card: Card, pin: bytes = b"", p1: int = 0) -> int:
    return send(card, 0x20, p1, 0x80, pin)


def change(card: Card, old: bytes, new: bytes, reference: int = 0x80) -> int:
    return send(card, 0x24, 0, reference, old + new)


def unblock(card: Card, puk: bytes, new: bytes) -> int:
    return send(card, 0x2C, 0, 0x80, puk + new)


def select(card: Card, aid: bytes) -> int:
    return send(card, 0xA4, 4, 0, aid)


def verified(card: Card) -> bool:
    return verify(card) == 0x9000


def left(sw: int) -> int:
    assert sw & 0xFFF0 == 0x63C0, f"{sw:04X}"
    return sw & 0xF


def block(card: Card) -> None:
    for tries in reversed(range(TRIES)):
        assert left(verify(card, WRONG)) == tries


def test_without_data_the_tries_are_told_and_none_is_spent(card: Card) -> None:
    for _ in range(TRIES + 1):
        assert left(verify(card)) == TRIES
    assert verify(card, PIN) == 0x9000
    assert verify(card) == 0x9000


def test_wrong_pins_count_down_until_the_right_one(card: Card) -> None:
    assert left(verify(card, WRONG)) == TRIES - 1
    assert left(verify(card)) == TRIES - 1
    assert left(verify(card, WRONG)) == TRIES - 2
    assert verify(card, PIN) == 0x9000
    verify(card, p1=0xFF)
    assert left(verify(card)) == TRIES


def test_a_wrong_pin_ends_the_login(card: Card) -> None:
    verify(card, PIN)
    assert left(verify(card, WRONG)) == TRIES - 1
    assert left(verify(card)) == TRIES - 1


def test_a_blocked_pin_is_not_compared_any_more(card: Card) -> None:
    block(card)
    assert verify(card, PIN) == BLOCKED
    assert verify(card) == BLOCKED
    assert change(card, PIN, OTHER) == BLOCKED
    assert change(card, PIN, field(b"12")) == BLOCKED
    assert verify(card, b"12") == BLOCKED
    card.reset()
    assert verify(card, PIN) == BLOCKED


@pytest.mark.parametrize(
    "data",
    [
        b"123456",
        b"123456\xff",
        b"123456\xff\xff\xff",
        b"123\xff\xff\xff\xff\xff",
        b"\xff123456\xff",
        b"1234\xff56\xff",
        b"123456\xff\x00",
        b"1",
    ],
)
def test_what_cannot_be_a_pin_spends_no_try_and_ends_no_login(card: Card, data: bytes) -> None:
    assert verify(card, data) == 0x6A80
    assert left(verify(card)) == TRIES
    verify(card, PIN)
    assert verify(card, data) == 0x6A80
    assert verified(card)


def test_nothing_but_padding_is_a_wrong_pin(card: Card) -> None:
    # ykman blocks PIN and PUK so, before it resets a key.
    empty = field(b"")
    assert left(verify(card, empty)) == TRIES - 1
    assert left(unblock(card, empty, empty)) == TRIES - 1
    assert left(change(card, empty, empty)) == TRIES - 2
    assert left(change(card, empty, OTHER, 0x81)) == TRIES - 2


@pytest.mark.parametrize("reference", [0x00, 0x81, 0x82, 0x96, 0x98, 0x9B])
def test_no_other_reference_is_verified(card: Card, reference: int) -> None:
    for data in (b"", PIN, PUK):
        assert send(card, 0x20, 0x00, reference, data) == 0x6A88
    assert send(card, 0x20, 0xFF, reference) == 0x6A88


def test_other_parameters_are_refused(card: Card) -> None:
    assert verify(card, PIN, p1=0x01) == 0x6A86
    assert send(card, 0x24, 0x01, 0x80, PIN + OTHER) == 0x6A86
    assert send(card, 0x2C, 0x01, 0x80, PUK + OTHER) == 0x6A86
    assert send(card, 0x24, 0x00, 0x00, PIN + OTHER) == 0x6A88
    assert send(card, 0x24, 0x00, 0x9B, PIN + OTHER) == 0x6A88
    assert send(card, 0x2C, 0x00, 0x81, PUK + OTHER) == 0x6A88
    assert not verified(card)


def test_the_user_logs_out(card: Card) -> None:
    assert verify(card, p1=0xFF) == 0x9000
    verify(card, PIN)
    assert verify(card, PIN, p1=0xFF) == 0x6A80
    assert verified(card)
    assert verify(card, p1=0xFF) == 0x9000
    assert left(verify(card)) == TRIES


def test_the_login_ends_with_the_application_or_the_power(card: Card) -> None:
    verify(card, PIN)
    assert select(card, PIV) == 0x9000
    assert verified(card), "selected again, PIV keeps its security status (Part 2 §3.1.1)"
    assert select(card, bytes.fromhex("A000000001")) == 0x6A82
    assert verified(card), "the application was not there"
    select(card, MANAGEMENT)
    select(card, PIV)
    assert not verified(card)
    verify(card, PIN)
    card.reset()
    assert not verified(card)
    verify(card, PIN)
    card.power_off()
    card.power_on()
    assert not verified(card)


def test_the_counters_outlive_the_power(card: Card) -> None:
    verify(card, WRONG)
    change(card, WRONG, OTHER, 0x81)
    card.power_off()
    card.power_on()
    assert left(verify(card)) == TRIES - 1
    assert left(unblock(card, WRONG, OTHER)) == TRIES - 2


def test_the_owner_changes_the_pin(card: Card) -> None:
    assert left(change(card, WRONG, OTHER)) == TRIES - 1
    assert verify(card, PIN) == 0x9000
    card.reset()
    assert change(card, PIN, OTHER) == 0x9000
    assert verified(card), "the right PIN was given (Part 2 §3.2.2)"
    card.reset()
    assert left(verify(card, PIN)) == TRIES - 1
    assert verify(card, OTHER) == 0x9000


def test_a_wrong_pin_or_puk_ends_the_login_and_a_wrong_form_does_not(card: Card) -> None:
    verify(card, PIN)
    change(card, WRONG, OTHER)
    assert not verified(card)
    verify(card, PIN)
    unblock(card, WRONG, OTHER)
    assert not verified(card)
    verify(card, PIN)
    for send_pair in (change, unblock):
        assert send_pair(card, PUK, field(b"12")) == 0x6A80
        assert send_pair(card, field(b"12"), OTHER) == 0x6A80
    assert change(card, WRONG, OTHER, 0x81) & 0xFFF0 == 0x63C0
    assert verified(card)
    assert unblock(card, PUK, OTHER) == 0x9000
    assert verified(card), "the security status is not changed (Part 2 §3.2.3)"


NO_NEW_PIN = [b"12345", b"1234", b"", b"12345a", b"1234\xff56", b"\xff123456", b"123456 "]


@pytest.mark.parametrize("new", NO_NEW_PIN)
def test_what_cannot_be_a_new_pin_changes_nothing(card: Card, new: bytes) -> None:
    assert change(card, PIN, field(new)) == 0x6A80
    assert change(card, WRONG, field(new)) == 0x6A80
    assert unblock(card, PUK, field(new)) == 0x6A80
    assert unblock(card, WRONG, field(new)) == 0x6A80
    assert left(verify(card)) == TRIES
    assert verify(card, PIN) == 0x9000
    assert left(unblock(card, WRONG, OTHER)) == TRIES - 1


@pytest.mark.parametrize("size", [0, 1, 8, 15, 17])
def test_a_pair_has_sixteen_bytes(card: Card, size: int) -> None:
    for ins in (0x24, 0x2C):
        assert send(card, ins, 0, 0x80, (PIN + OTHER + PIN)[:size]) == 0x6A80


def test_the_puk_unblocks(card: Card) -> None:
    block(card)
    assert left(unblock(card, WRONG, OTHER)) == TRIES - 1
    assert unblock(card, PUK, OTHER) == 0x9000
    assert left(verify(card)) == TRIES, "and nobody is logged in"
    assert verify(card, OTHER) == 0x9000
    assert left(unblock(card, WRONG, PIN)) == TRIES - 1


def test_the_puk_is_changed(card: Card) -> None:
    assert left(change(card, WRONG, OTHER, 0x81)) == TRIES - 1
    assert change(card, PUK, b"\x00\x01bytes!", 0x81) == 0x9000
    assert left(unblock(card, PUK, OTHER)) == TRIES - 1
    assert unblock(card, b"\x00\x01bytes!", OTHER) == 0x9000


def test_a_blocked_puk_unblocks_nothing(card: Card) -> None:
    block(card)
    for tries in reversed(range(TRIES)):
        assert left(unblock(card, WRONG, OTHER)) == tries
    assert unblock(card, PUK, OTHER) == BLOCKED
    assert change(card, PUK, OTHER, 0x81) == BLOCKED
    assert verify(card, PIN) == BLOCKED


def test_both_faces_have_the_same_pins(card: Card, program: Program) -> None:
    session = program.open()
    for tries in reversed(range(TRIES)):
        assert program.rv("C_Login", session, CKU.USER, b"wrong!") == CKR.PIN_INCORRECT
        assert verify(card) == (0x63C0 | tries if tries else BLOCKED)
    assert unblock(card, PUK, OTHER) == 0x9000
    program.C_Login(session, CKU.USER, b"24682468")
    program.C_SetPIN(session, b"24682468", "密码".encode())
    program.C_Logout(session)
    assert verify(card, field("密码".encode())) == 0x9000
    block_by_card = [verify(card, WRONG) for _ in range(TRIES)]
    assert left(block_by_card[-1]) == 0
    assert program.rv("C_Login", session, CKU.USER, "密码".encode()) == CKR.PIN_LOCKED


def test_a_pin_of_four_bytes_from_the_other_face_can_be_given(card: Card, program: Program) -> None:
    session = program.open(user=CKU.USER)
    program.C_SetPIN(session, b"123456", b"abcd")
    assert verify(card, field(b"abcd")) == 0x9000
    assert change(card, field(b"abcd"), PIN) == 0x9000


def test_the_card_logs_out_no_program_and_no_program_the_card(card: Card, program: Program) -> None:
    session = program.open(user=CKU.USER)
    verify(card, PIN)
    card.reset()
    program.C_SetPIN(session, b"123456", b"123456")
    key = program.find(session)
    verify(card, PIN)
    program.C_Logout(session)
    assert verified(card)
    assert key == []


def test_a_wiped_token_knows_nobody_and_has_no_pin(card: Card, program: Program) -> None:
    verify(card, PIN)
    program.C_InitToken(0, SO_PIN, b"new".ljust(32))
    assert verify(card) == BLOCKED
    assert verify(card, PIN) == BLOCKED
    session = program.open(user=CKU.SO)
    program.C_InitPIN(session, b"13579135")
    program.C_Logout(session)
    program.C_Login(session, CKU.USER, b"13579135")
    card.reset()
    program.C_SetPIN(session, b"13579135", b"123456")  # its own login goes on
    assert verify(card, PIN) == 0x9000


class Pins(RuleBasedStateMachine):
    """PIN, PUK and the management key against a plain model of them."""

    folder: Path
    pins = st.sampled_from([PIN, PUK, WRONG, OTHER])

    @initialize(tries=st.integers(1, 4))
    def make(self, tries: int) -> None:
        self.tries = tries
        factory = Factory.of(b"123456", b"12345678", tries)
        self.chip = Chip.make(self.folder / uuid.uuid4().hex, "1", "key", factory, lasting=False)
        self.card = Card(self.chip, Epoch())
        self.piv = PivProgram(self.card)
        self.pin, self.puk = PIN, PUK
        self.most = self.left = {"pin": tries, "puk": tries}
        self.verified = self.managed = False

    def compared(self, name: str, given: bytes) -> int:
        """Compare a PIN with the model's, and count."""
        if not self.left[name]:
            return BLOCKED
        if given == getattr(self, name):
            self.left = {**self.left, name: self.most[name]}
            return 0x9000
        self.left = {**self.left, name: self.left[name] - 1}
        return 0x63C0 | self.left[name]

    @rule(pin=pins)
    def verify(self, pin: bytes) -> None:
        sw = self.compared("pin", pin)
        self.verified = sw == 0x9000 or (self.verified and sw == BLOCKED)
        assert verify(self.card, pin) == sw

    @rule(name=st.sampled_from(["pin", "puk"]), old=pins, new=pins)
    def change(self, name: str, old: bytes, new: bytes) -> None:
        sw = self.compared(name, old)
        if sw == 0x9000:
            setattr(self, name, new)
        if name == "pin" and sw != BLOCKED:
            self.verified = sw == 0x9000
        assert change(self.card, old, new, 0x80 if name == "pin" else 0x81) == sw

    @rule(puk=pins, new=pins)
    def unblock(self, puk: bytes, new: bytes) -> None:
        sw = self.compared("puk", puk)
        if sw == 0x9000:
            self.pin, self.left = new, {**self.left, "pin": self.most["pin"]}
        elif sw != BLOCKED:
            self.verified = False
        assert unblock(self.card, puk, new) == sw

    @rule(data=st.binary(min_size=1, max_size=16).filter(lambda data: len(data) != 8))
    def nonsense(self, data: bytes) -> None:
        assert verify(self.card, data) == (0x6A80 if self.left["pin"] else BLOCKED)

    @rule(name=st.sampled_from(["pin", "puk"]), pin=pins)
    def log_in_by_the_other_face(self, name: str, pin: bytes) -> None:
        role = Role.USER if name == "pin" else Role.SO
        sw = self.compared(name, pin)
        try:
            era = self.chip.log_in(role, pin.rstrip(b"\xff"))
        except PinRefusal:
            assert sw != 0x9000
        else:
            assert sw == 0x9000
            self.chip.log_out(role, era)

    @rule()
    def authenticate(self) -> None:
        self.piv.manage()
        self.managed = True

    @rule()
    def authenticate_wrongly(self) -> None:
        self.piv.step(0x03, tlv(0x81))
        assert self.piv.refused(0x03, tlv(0x82, bytes(8))) == 0x6982
        self.managed = False

    @rule()
    def put(self) -> None:
        assert self.piv.manages == self.managed

    @rule(pin=st.integers(1, 4), puk=st.integers(1, 4))
    def set_tries(self, pin: int, puk: int) -> None:
        allowed = self.managed and self.verified
        assert send(self.card, 0xFA, pin, puk) == (0x9000 if allowed else 0x6982)
        if allowed:
            self.pin, self.puk, self.verified = PIN, PUK, False
            self.most = self.left = {"pin": pin, "puk": puk}

    @rule(how=st.sampled_from(["reset", "power_off", "select", "select_other"]))
    def end(self, how: str) -> None:
        match how:
            case "reset":
                self.card.reset()
            case "power_off":
                self.card.power_off()
                self.card.power_on()
            case "select":
                assert select(self.card, PIV) == 0x9000
                return
            case "select_other":
                select(self.card, MANAGEMENT)
                select(self.card, PIV)
        self.verified = self.managed = False

    @rule()
    def log_out(self) -> None:
        assert verify(self.card, p1=0xFF) == 0x9000
        self.verified = False

    @rule()
    def reset_to_factory(self) -> None:
        blocked = not any(self.left.values())
        assert send(self.card, 0xFB, 0, 0) == (0x9000 if blocked else 0x6985)
        if blocked:
            self.pin, self.puk = PIN, PUK
            self.verified = self.managed = False
            self.most = self.left = {"pin": self.tries, "puk": self.tries}

    @invariant()
    def tells_the_same(self) -> None:
        if self.verified:
            assert verified(self.card)
        else:
            left = self.left["pin"]
            assert verify(self.card) == (0x63C0 | left if left else BLOCKED)

    def teardown(self) -> None:
        self.chip.close()


def test_who_may_do_what_is_a_plain_model(tmp_path: Path) -> None:
    Pins.folder = tmp_path
    run_state_machine_as_test(
        Pins, settings=settings(max_examples=60, stateful_step_count=25, deadline=None)
    )

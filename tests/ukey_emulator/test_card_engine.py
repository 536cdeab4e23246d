"""What a card does with APDUs, whatever the application (ISO/IEC 7816-4:2020 §5, 7816-3 §8)."""

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from piv_program import AID, PIN, PivProgram, tlv

from ukey_emulator.card.card import LONGEST, Card, Exchange
from ukey_emulator.chip import Role
from ukey_emulator.rack.keyring import Keyring

SELECT = bytes.fromhex("00A404000BA000000308000010000100")
PROPERTIES = bytes.fromhex("4F06000010000100 7907 4F05A000000308")
TAG = bytes.fromhex("5FFF11")
GET = bytes.fromhex("00CB3FFF055C03") + TAG
PUT = bytes.fromhex("00DB3FFF")
CONTENT = bytes(range(256)) * 3
OBJECT = b"\x53\x82\x03\x00" + CONTENT


def sw(card: Card, command: str | bytes) -> int:
    raw = bytes.fromhex(command) if isinstance(command, str) else command
    return int.from_bytes(card.transmit(raw)[-2:])


def chained(ins: bytes, data: bytes, size: int = 255) -> list[bytes]:
    """Cut a command into blocks."""
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    heads = [b"\x10" + ins] * (len(parts) - 1) + [b"\0" + ins]
    return [head + bytes([len(part)]) + part for head, part in zip(heads, parts, strict=True)]


@pytest.fixture
def full(piv: PivProgram) -> Card:
    """Give a card with a data object of 768 bytes, whose manager is known."""
    piv.manage()
    piv.ok(0xDB, 0x3F, 0xFF, tlv(0x5C, TAG) + OBJECT)
    return piv.card


def collected(card: Card, first: bytes, le: bytes = b"\0") -> bytes:
    """Send a command and take the rest in as many answers as it takes."""
    answer = card.transmit(first)
    whole = answer[:-2]
    while answer[-2] == 0x61:
        answer = card.transmit(b"\0\xc0\0\0" + le)
        assert len(answer) > 2
        whole += answer[:-2]
    assert answer[-2:] == b"\x90\x00"
    return whole


def test_the_answer_to_reset_is_well_formed(card: Card) -> None:
    atr = card.power_on()
    assert atr == card.atr == card.reset()
    ts, t0, td1, td2 = atr[:4]
    assert ts == 0x3B
    assert t0 >> 4 == 0x8, "TD1 alone; a YubiKey on USB has F"
    assert (td1, td2) == (0x80, 0x01), "T=0, then T=1 and no more"
    historical = atr[4:-1]
    assert t0 & 0xF == len(historical)
    check = 0
    for byte in atr[1:]:
        check ^= byte
    assert check == 0, "TCK"
    assert historical[0] == 0x80
    assert historical[1] == 0xF0 | len(historical[2:])
    assert AID.startswith(historical[2:])


@pytest.mark.parametrize("length", [11, 9, 5])
def test_piv_is_selected_by_its_name_or_the_beginning_of_it(card: Card, length: int) -> None:
    answer = card.transmit(bytes([0, 0xA4, 4, 0, length]) + AID[:length])
    assert answer[-2:] == b"\x90\x00"
    assert answer[0] == 0x61
    assert answer[1] == len(answer) - 4
    assert answer[2:].startswith(PROPERTIES)


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        ("00A4040005A000000309", 0x6A82),
        ("00A4040004A0000003", 0x6A82),
        ("00A4040000", 0x6A82),
        ("00A404000CA00000030800001000010000", 0x6A82),
        ("00A40000023F00", 0x6A86),
        ("00A4040105A000000308", 0x6A86),
    ],
)
def test_what_is_not_there_is_not_selected(card: Card, command: str, refusal: int) -> None:
    sw(card, SELECT)
    assert sw(card, command) == refusal
    assert sw(card, "00FD0000") == 0x9000, "PIV still is"


def test_piv_is_there_without_being_selected(card: Card) -> None:
    assert sw(card, "00FD000000") == 0x9000
    assert sw(card, "00A4040008A000000527471117") == 0x9000
    assert sw(card, "00FD000000") == 0x6D00
    card.reset()
    assert sw(card, "00FD000000") == 0x9000


def test_selected_silently_it_says_nothing(card: Card) -> None:
    assert card.transmit(bytes.fromhex("00A4040C05A000000308")) == b"\x90\x00"


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        ("FFA4040005A000000308", 0x6E00),
        ("80A4040005A000000308", 0x6E00),
        ("0CCB3FFF055C037E", 0x6882),
        ("04200080", 0x6882),
        ("01FD0000", 0x6881),
        ("00020000", 0x6D00),
        ("00700000", 0x6D00),
        ("00CB0000035C017E", 0x6A86),
        ("00FD00", 0x6700),
        ("00CB3FFF055C01", 0x6700),
        ("00CB3FFF035C017E0000", 0x6700),
    ],
)
def test_what_the_card_has_not_is_refused_for_its_reason(
    card: Card, command: str, refusal: int
) -> None:
    assert sw(card, command) == refusal
    assert sw(card, "00FD0000") == 0x9000


def test_a_long_answer_comes_in_parts(full: Card) -> None:
    answer = full.transmit(GET + b"\0")
    assert (len(answer), answer[-2:]) == (258, b"\x61\x00")
    assert answer[:256] == OBJECT[:256]
    assert collected(full, GET + b"\0") == OBJECT


def test_without_le_there_is_as_much_as_fits(full: Card) -> None:
    assert collected(full, GET) == OBJECT
    assert collected(full, GET, le=b"") == OBJECT


@given(first=st.integers(1, 256), rest=st.integers(1, 256))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_part_is_longer_than_le(full: Card, first: int, rest: int) -> None:
    answer = full.transmit(GET + bytes([first % 256]))
    assert len(answer) == first + 2
    left = len(OBJECT) - first
    assert answer[-2:] == bytes([0x61, left if left < 256 else 0])
    assert collected(full, GET + bytes([first % 256]), bytes([rest % 256])) == OBJECT


def test_an_extended_le_takes_it_at_once(full: Card) -> None:
    extended = bytes.fromhex("00CB3FFF000005 5C03") + TAG
    assert full.transmit(extended + b"\0\0") == OBJECT + b"\x90\x00"
    assert full.transmit(extended) == OBJECT + b"\x90\x00"
    assert full.transmit(extended + b"\x01\x00") == OBJECT[:256] + b"\x61\x00"


def test_nothing_is_kept_back_unless_something_is(full: Card) -> None:
    assert full.transmit(bytes.fromhex("00C0000000")) == b"\x69\x85"
    collected(full, GET)
    assert full.transmit(bytes.fromhex("00C0000000")) == b"\x69\x85"


@pytest.mark.parametrize(
    "between",
    [
        "00FD0000",
        "00020000",
        "FF",
        "80FD0000",
        "10DB3FFF0153",
        "00C0010000",
        "00A4040005A000000308",
    ],
)
def test_any_other_command_drops_what_was_kept_back(full: Card, between: str) -> None:
    assert full.transmit(GET + b"\0")[-2] == 0x61
    full.transmit(bytes.fromhex(between))
    assert full.transmit(bytes.fromhex("00C0000000")) == b"\x69\x85"


def test_a_reset_drops_what_was_kept_back(full: Card) -> None:
    assert full.transmit(GET + b"\0")[-2] == 0x61
    full.reset()
    assert full.transmit(bytes.fromhex("00C0000000")) == b"\x69\x85"


@given(size=st.integers(1, 255), content=st.binary(min_size=1, max_size=2000))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25
)
def test_blocks_are_joined_whatever_their_size(full: Card, size: int, content: bytes) -> None:
    data = tlv(0x5C, TAG) + tlv(0x53, content)
    for block in chained(PUT[1:], data, size):
        assert full.transmit(block) == b"\x90\x00"
    assert collected(full, GET) == tlv(0x53, content)
    extended = PUT + b"\0" + len(data).to_bytes(2) + data
    assert full.transmit(extended) == b"\x90\x00"
    assert collected(full, GET) == tlv(0x53, content)


def test_extended_blocks_are_joined_too(full: Card) -> None:
    data = tlv(0x5C, TAG) + tlv(0x53, b"new" * 1000)
    cut = [b"\0" + len(part).to_bytes(2) + part for part in (data[:1000], data[1000:])]
    assert full.transmit(b"\x10" + PUT[1:] + cut[0]) == b"\x90\x00"
    assert full.transmit(PUT + cut[1]) == b"\x90\x00"
    assert collected(full, GET) == tlv(0x53, b"new" * 1000)


@pytest.mark.parametrize(
    ("other", "answer"),
    [
        ("00FD0000", 0x9000),
        ("10CB3FFF015C", 0x9000),  # the first block of another chain
        ("10DB3FFE0153", 0x9000),
        ("00C0000000", 0x6985),
        ("0C", 0x6700),
        ("80DB3FFF0153", 0x6E00),
    ],
)
def test_a_chain_that_does_not_go_on_is_over(full: Card, other: str, answer: int) -> None:
    blocks = chained(PUT[1:], tlv(0x5C, TAG) + tlv(0x53, b"new" * 100))
    assert full.transmit(blocks[0]) == b"\x90\x00"
    assert sw(full, other) == answer
    assert sw(full, blocks[1]) == 0x6A80, "what came before is forgotten"
    assert collected(full, GET) == OBJECT


def test_a_chain_that_is_not_finished_has_no_effect(full: Card) -> None:
    blocks = chained(PUT[1:], tlv(0x5C, TAG) + tlv(0x53, b"new" * 100))
    full.transmit(blocks[0])
    full.reset()
    PivProgram(full).manage()
    assert sw(full, blocks[1]) == 0x6A80
    assert collected(full, GET) == OBJECT


def test_a_chain_beyond_all_measure_is_refused_and_forgotten(full: Card) -> None:
    block = b"\x10" + PUT[1:] + b"\xff" + bytes(255)
    for _ in range(LONGEST // 255):
        assert full.transmit(block) == b"\x90\x00"
    assert full.transmit(block) == b"\x6a\x84"
    assert collected(full, GET) == OBJECT
    for block in chained(PUT[1:], tlv(0x5C, TAG) + tlv(0x53, b"new" * 100)):
        assert full.transmit(block) == b"\x90\x00"


def test_without_power_there_is_no_answer_but_one(card: Card) -> None:
    card.power_off()
    assert card.transmit(SELECT) == b"\x6f\x00"
    card.power_off()
    card.power_on()
    assert sw(card, SELECT) == 0x9000


def test_a_key_that_has_been_pulled_out_answers(piv: PivProgram, keyring: Keyring) -> None:
    piv.verify()
    keyring.unplug("key")
    assert piv.sw(0x20, 0, 0x80, PIN) == 0x6F00
    assert piv.sw(0x24, 0, 0x80, PIN + PIN) == 0x6F00
    piv.card.power_off()


def test_the_epoch_moves_with_what_changes_alone(card: Card, keyring: Keyring) -> None:
    page = keyring._slots.epoch._page
    sw(card, SELECT)
    before = page[0]
    assert sw(card, "00FD0000") == 0x9000
    assert sw(card, "00CB3FFF035C017E") in {0x9000, 0x6A82}
    assert page[0] == before
    assert sw(card, "0020008008FFFFFFFFFFFFFFFF") == 0x63C9
    assert page[0] == before + 1


def test_what_is_told_of_a_command_holds_no_secret(card: Card, keyring: Keyring) -> None:
    slot = keyring._slots.get(0)
    assert slot is not None
    assert slot.chip is not None
    told: list[Exchange] = []
    card = Card(slot.chip, keyring._slots.epoch, lambda exchange, *_: told.append(exchange))
    card.power_on()
    commands = [SELECT, b"\0\x20\0\x80\x08" + PIN, b"\0\x24\0\x80\x10" + PIN + PIN, GET, b"\0\xcb"]
    for command in commands:
        card.transmit(command)
    assert [(each.header, each.sent) for each in told] == [
        (command[:4], max(len(command) - 5, 0)) for command in commands
    ]
    assert [each.sw for each in told] == [0x9000, 0x9000, 0x9000, 0x6A82, 0x6700]
    assert [each.told for each in told] == [AID, b"", b"", tlv(0x5C, TAG), b""]
    assert "123456" not in repr(told)


def test_threads_get_answers_to_what_they_asked(card: Card) -> None:
    wrong: list[bytes] = []

    def ask(command: bytes, answer: bytes) -> None:
        wrong.extend(got for _ in range(300) if (got := card.transmit(command)) != answer)

    version = (bytes.fromhex("00FD0000"), bytes.fromhex("0507049000"))
    unknown = (bytes.fromhex("00020000"), b"\x6d\x00")
    threads = [threading.Thread(target=ask, args=each) for each in (version, unknown) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_a_thousand_random_commands_are_answered_and_change_nothing(
    full: Card, keyring: Keyring
) -> None:
    slot = keyring._slots.get(0)
    assert slot is not None
    chip = slot.chip
    assert chip is not None
    revision = chip.revision
    full.reset()

    @given(st.lists(st.binary(max_size=30), min_size=40, max_size=40))
    @settings(max_examples=25, deadline=None)
    def send(commands: list[bytes]) -> None:
        for command in commands:
            if command[1:2] not in {b"\x20", b"\x24", b"\x2c"}:  # those spend tries
                assert len(full.transmit(command)) >= 2

    send()
    assert chip.revision == revision
    assert [record.tries_left for record in map(chip.pin, Role) if record] == [10, 10]
    assert sw(full, SELECT) == 0x9000
    assert collected(full, GET) == OBJECT

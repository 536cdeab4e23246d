"""Yubico's MOVE KEY: to another slot, or away (F6)."""

import pytest
from piv_program import P256, P384, PivProgram


@pytest.fixture
def manager(piv: PivProgram) -> PivProgram:
    piv.manage()
    return piv


def test_a_key_moves_with_all_that_is_known_of_it(manager: PivProgram) -> None:
    manager.generate(0x9A, P256)
    told = manager.ok(0xF7, 0x00, 0x9A)
    manager.ok(0xF6, 0x82, 0x9A)
    assert manager.ok(0xF7, 0x00, 0x82) == told
    assert manager.sw(0xF7, 0x00, 0x9A) == 0x6A88
    manager.verify()
    assert manager.challenge(0x82, P256, bytes(32))[1] == 0x9000
    assert manager.challenge(0x9A, P256, bytes(32)) == (b"", 0x6A80)
    # Its policy goes with it, wherever it goes.
    manager.ok(0xF6, 0x9C, 0x82)
    for _ in range(2):
        assert manager.challenge(0x9C, P256, bytes(32))[1] == 0x9000
    manager.card.power_off()
    manager.card.power_on()
    assert manager.ok(0xF7, 0x00, 0x9C) == told


def test_the_slot_is_free_again(manager: PivProgram) -> None:
    old = manager.generate(0x9A, P256)
    manager.ok(0xF6, 0x82, 0x9A)
    assert manager.generate(0x9A, P256) != old
    manager.verify()
    for slot in (0x82, 0x9A):
        assert manager.challenge(slot, P256, bytes(32))[1] == 0x9000
    assert manager.ok(0xF7, 0x00, 0x82) != manager.ok(0xF7, 0x00, 0x9A)


def test_a_deleted_key_is_gone(manager: PivProgram) -> None:
    manager.generate(0x9A, P256)
    manager.ok(0xF6, 0xFF, 0x9A)
    assert manager.sw(0xF7, 0x00, 0x9A) == 0x6A88
    assert manager.sw(0xF6, 0xFF, 0x9A) == 0x6A88
    manager.verify()
    assert manager.challenge(0x9A, P256, bytes(32)) == (b"", 0x6A80)
    manager.generate(0x9A, P384)
    assert manager.challenge(0x9A, P384, bytes(48))[1] == 0x9000


def test_what_does_not_move(manager: PivProgram) -> None:
    assert manager.sw(0xF6, 0x82, 0x9A) == 0x6A88
    manager.generate(0x9A, P256)
    manager.generate(0x82, P384)
    told = [manager.ok(0xF7, 0x00, slot) for slot in (0x9A, 0x82, 0xF9)]
    assert manager.sw(0xF6, 0x82, 0x9A) == 0x6985
    assert manager.sw(0xF6, 0x9A, 0x9A) == 0x6985
    for target, source in (
        (0x9A, 0xF9),
        (0xF9, 0x9A),
        (0x00, 0x9A),
        (0x9B, 0x9A),
        (0x9A, 0x9B),
        (0x83, 0x00),
        (0x83, 0xFF),
        (0xFF, 0x9B),
        (0xFF, 0xFF),
    ):
        assert manager.sw(0xF6, target, source) == 0x6A86
    assert [manager.ok(0xF7, 0x00, slot) for slot in (0x9A, 0x82, 0xF9)] == told


def test_it_wants_the_management_key(piv: PivProgram) -> None:
    assert piv.sw(0xF6, 0xFF, 0x9A) == 0x6982
    piv.manage()
    piv.generate(0x9A, P256)
    piv.card.reset()
    piv.verify()
    for target in (0xFF, 0x82):
        assert piv.sw(0xF6, target, 0x9A) == 0x6982
    assert piv.challenge(0x9A, P256, bytes(32))[1] == 0x9000

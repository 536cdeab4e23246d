"""What a card does with the PINs and the whole token: unblock, count anew, wipe."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from program import PIN, SO_PIN

from ukey_emulator.chip import Chip, PinRefusal, Refusal, Role, making
from ukey_emulator.chip.factory import Factory
from ukey_emulator.chip.objects.kinds import TRUE, number
from ukey_emulator.chip.pins import DEFAULT_PINS
from ukey_emulator.chip.store import Store
from ukey_emulator.terms import CKA, CKO, CKR

OWN, OWN_SO = b"owner's", b"officer's"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "key"


@pytest.fixture
def chip(path: Path) -> Iterator[Chip]:
    chip = Chip.make(path, "1", "label", Factory.of(OWN, OWN_SO, 3))
    yield chip
    chip.close()


def counts(chip: Chip) -> list[tuple[int, int]]:
    """Give tries left and tries of both PINs."""
    records = [record for role in Role if (record := chip.pin(role)) is not None]
    return [(record.tries_left, record.tries) for record in records]


def block(chip: Chip, role: Role) -> None:
    for _ in range(3):
        with pytest.raises(PinRefusal):
            chip.log_in(role, b"wrong!")


def test_the_so_pin_unblocks_the_users(chip: Chip) -> None:
    block(chip, Role.USER)
    chip.unblock(OWN_SO, PIN)
    assert counts(chip) == [(3, 3), (3, 3)]
    with pytest.raises(PinRefusal):
        chip.log_in(Role.USER, OWN)
    chip.log_in(Role.USER, PIN)


def test_a_wrong_so_pin_unblocks_nothing(chip: Chip) -> None:
    block(chip, Role.USER)
    for left in (2, 1, 0):
        with pytest.raises(PinRefusal) as refusal:
            chip.unblock(b"wrong!", PIN)
        assert refusal.value.tries_left == left
    with pytest.raises(PinRefusal) as refusal:
        chip.unblock(OWN_SO, PIN)
    assert refusal.value.code is CKR.PIN_LOCKED
    assert counts(chip) == [(0, 3), (0, 3)]


def test_a_new_pin_of_no_length_costs_no_try(chip: Chip) -> None:
    with pytest.raises(Refusal) as refusal:
        chip.unblock(OWN_SO, b"123")
    assert refusal.value.code is CKR.PIN_LEN_RANGE
    assert counts(chip) == [(3, 3), (3, 3)]


def test_each_pin_has_its_own_tries(chip: Chip, path: Path) -> None:
    chip.log_in(Role.USER, OWN)
    chip.set_pin_tries(user=5, so=7)
    chip.verify_pin(Role.USER, DEFAULT_PINS[Role.USER])
    chip.change_pin(Role.USER, DEFAULT_PINS[Role.USER], PIN)
    chip.change_pin(Role.SO, DEFAULT_PINS[Role.SO], OWN_SO)
    chip.unblock(OWN_SO, OWN)
    assert counts(chip) == [(7, 7), (5, 5)]
    chip.close()
    again = Chip.open(path)
    assert counts(again) == [(7, 7), (5, 5)]
    with pytest.raises(PinRefusal) as refusal:
        again.log_in(Role.SO, b"wrong!")
    assert refusal.value.tries_left == 6
    again.close()


def test_nobody_counts_anew_without_a_login(chip: Chip) -> None:
    with pytest.raises(Refusal) as refusal:
        chip.set_pin_tries(user=5, so=7)
    assert refusal.value.code is CKR.USER_NOT_LOGGED_IN
    assert counts(chip) == [(3, 3), (3, 3)]


def test_back_to_the_factory(chip: Chip, path: Path) -> None:
    template: dict[int, bytes] = {CKA.CLASS: number(CKO.DATA), CKA.TOKEN: TRUE}
    era = chip.log_in(Role.USER, OWN)
    chip.set_pin_tries(user=5, so=7)
    chip.exchange(
        (),
        [making.create({**template, CKA.PRIVATE: private}.items()) for private in (TRUE, b"\0")],
        {"note": b"kept by an applet"},
    )
    chip.reset_to_factory()
    chip.log_out(Role.USER, era)
    chip.close()
    chip = Chip.open(path)
    assert (chip.identity.serial, chip.label) == ("1", "label")
    assert counts(chip) == [(3, 3), (3, 3)]
    assert chip.noted("note") is None
    assert not chip.outsides()
    chip.log_in(Role.USER, DEFAULT_PINS[Role.USER])
    assert not list(chip.find({}, private=True))
    chip.verify_pin(Role.SO, DEFAULT_PINS[Role.SO])
    chip.close()


@pytest.mark.parametrize("method", ["wipe", "put_pin", "put_fact"])
def test_a_wipe_that_is_cut_short_is_none(
    chip: Chip, path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def failing(*_: object) -> None:
        raise KeyboardInterrupt

    template: dict[int, bytes] = {CKA.CLASS: number(CKO.DATA), CKA.TOKEN: TRUE, CKA.PRIVATE: TRUE}
    chip.exchange((), [making.create(template.items())])
    with monkeypatch.context() as power:
        power.setattr(Store, method, failing)
        with pytest.raises(KeyboardInterrupt):
            chip.reset_to_factory()
    chip.close()
    again = Chip.open(path)
    again.log_in(Role.USER, OWN)
    assert len(list(again.find({}, private=True))) == 1
    again.close()


def test_a_login_of_before_a_wipe_ends_no_later_one(chip: Chip) -> None:
    before = chip.log_in(Role.USER, OWN)
    chip.reset_to_factory()
    chip.log_in(Role.USER, PIN)
    chip.log_out(Role.USER, before)
    template: dict[int, bytes] = {CKA.CLASS: number(CKO.DATA), CKA.TOKEN: TRUE, CKA.PRIVATE: TRUE}
    chip.keep(making.create(template.items()))
    assert len(list(chip.find({}, private=True))) == 1


def test_the_pins_of_the_factory_are_those_of_most_cards() -> None:
    assert {Role.USER: PIN, Role.SO: SO_PIN} == DEFAULT_PINS

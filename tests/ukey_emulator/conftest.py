"""A face with a key in its slot and programs that use it; the same key as a card; a whole rack."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from piv_program import PivProgram
from program import Program

from ukey_emulator.card.card import Card
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.remote import RackProcess, Remote
from ukey_emulator.slots import Slots


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[Keyring]:
    ring = Keyring(tmp_path / "keys", Slots())
    ring.new(name="key", label="test key")
    yield ring
    ring.close()


@pytest.fixture
def face(keyring: Keyring) -> Face:
    return Face(keyring._slots, lambda *_, **__: None)


@pytest.fixture
def program(face: Face) -> Program:
    return Program(face)


@pytest.fixture
def other_program(face: Face) -> Program:
    return Program(face)


@pytest.fixture
def card(keyring: Keyring) -> Card:
    slot = keyring._slots.get(0)
    assert slot is not None
    assert slot.chip is not None
    card = Card(slot.chip, keyring._slots.epoch)
    card.power_on()
    return card


@pytest.fixture
def piv(card: Card) -> PivProgram:
    return PivProgram(card)


@pytest.fixture
def rack() -> Iterator[RackProcess]:
    with RackProcess.start() as running:
        yield running


@pytest.fixture
def remote(rack: RackProcess) -> Iterator[Remote]:
    with rack.remote() as connected:
        yield connected

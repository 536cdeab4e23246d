"""What a scene stands on: a rack's folder with a key, and how to say what happens to it.

The scenes are in scenes_pkcs11.py and so on. One is made ready with no cuts; what follows its
first `yield` is cut everywhere. Each later `yield` stands for an answer that a program has got:
from there on what it was told must be so.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from piv_program import PivProgram
from program import P256, Program, attributes

from ukey_emulator.card.card import Card
from ukey_emulator.chip import Chip
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.cryptoki.wire import Mechanism
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.slots import Slots
from ukey_emulator.terms import CKM, CKO, CKR, CKU

NEW_PIN, NEW_SO_PIN, WRONG = b"654321", b"87654321", b"999999"
DATA = {"CLASS": int(CKO.DATA), "TOKEN": True}
PRIVATE = {"TOKEN": True, "PRIVATE": True, "SENSITIVE": True, "SIGN": True}


class Bench:
    """A rack's folder with one key, called key, and what programs need to use it."""

    def __init__(self, home: Path, *, lasting: bool) -> None:
        self._folder = home / "keys"
        self._lasting = lasting
        self.opened = False

    @cached_property
    def keyring(self) -> Keyring:
        """The keys; they are opened when they are first asked for."""
        keyring = Keyring(self._folder, Slots(), lasting=self._lasting)
        self.opened = True
        return keyring

    @property
    def chip(self) -> Chip:
        """The chip of the key."""
        slot = self.keyring._slots.get(0)
        assert slot is not None
        assert slot.chip is not None
        return slot.chip

    @property
    def program(self) -> Program:
        """A new program."""
        return Program(Face(self.keyring._slots, lambda *_: None))

    def piv(self) -> PivProgram:
        """Give the key as a card that has power."""
        piv = PivProgram(Card(self.chip, self.keyring._slots.epoch))
        piv.send(0xF7, 0x00, 0x9A)  # the first look is noted: keys keep the slots they are seen in
        return piv


Act = Callable[[Bench], Iterator[None]]


@dataclass(frozen=True)
class Scene:
    """A scene: `make` makes its key, `act` plays it; see above.

    What it begins with is left by a process that was killed, if that `crashed`. Without `changes`
    it ends with what it began with.
    """

    name: str
    group: str
    act: Act
    make: Callable[[Keyring], object]
    changes: bool
    crashed: bool


SCENES: list[Scene] = []


def used(keyring: Keyring) -> None:
    """Make a key with something of everything, and one wrong try for each PIN."""
    keyring.new(name="key", label="power", tries=3)
    program = Program(Face(keyring._slots, lambda *_: None))
    session = program.open(user=CKU.USER)
    program.C_CreateObject(session, attributes(**DATA, LABEL="open", VALUE="1"), True)
    program.C_CreateObject(session, attributes(**DATA, PRIVATE=True, VALUE="2" * 3000), True)
    pair(program, session, CKM.EC_KEY_PAIR_GEN, EC_PARAMS=P256)
    program.C_Logout(session)
    assert program.rv("C_Login", session, CKU.USER, WRONG) == CKR.PIN_INCORRECT
    assert program.rv("C_Login", session, CKU.SO, WRONG) == CKR.PIN_INCORRECT


def blank(keyring: Keyring) -> None:
    """Make a key that was never initialised."""
    keyring.new(name="key", initialized=False, tries=3)


def scene(
    group: str,
    make: Callable[[Keyring], object] = used,
    *,
    changes: bool = True,
    crashed: bool = False,
) -> Callable[[Act], Act]:
    """Have a function played as a scene, called as the function is."""

    def note(act: Act) -> Act:
        SCENES.append(Scene(act.__name__.replace("_", " "), group, act, make, changes, crashed))
        return act

    return note


def pair(program: Program, session: int, mechanism: CKM, **public: object) -> None:
    """Generate a pair, both halves on the token."""
    program.C_GenerateKeyPair(
        session,
        Mechanism(mechanism, None),
        attributes(TOKEN=True, VERIFY=True, **public),
        attributes(**PRIVATE, LABEL="pair"),
        True,
        True,
    )

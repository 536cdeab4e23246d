"""What all steps have: how they are made on every device, and what is drawn for them."""

from collections.abc import Callable
from typing import Any

from choices import IV, Choices
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from recipes import RECIPES, template
from standard import algorithms
from standard.values import (
    Cell,
    Mech,
    Null,
    Out,
)
from subjects import Subject

PICK = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9])
S = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 2, 3, 9])
WHO = st.sampled_from([0, 0, 0, 1])
CELL = st.sampled_from([Cell()] * 9 + [Cell(asked=False)])
SIZE = st.sampled_from([0, 1, 15, 16, 17, 32, 48, 100, 250, None])
OUT = st.sampled_from(
    [Out()] * 6
    + [Out(None)] * 3
    + [Out(each) for each in (0, 1, 15, 16, 31, 40)]
    + [Out(asked=False)]
)
RIGHT = st.sampled_from([True, True, True, False])
HOW = st.sampled_from(["right", "right", "right", "wrong", "short", "null"])
SECRET_SIDE, PUBLIC_SIDE, PRIVATE_SIDE = "SECRET_KEY", "PUBLIC_KEY", "PRIVATE_KEY"

RARELY = st.sampled_from([False, False, True])
SELDOM = st.sampled_from([False] * 11 + [True])

CIPHERS = st.sampled_from(
    [
        Mech("AES_ECB"),
        Mech("AES_CBC", IV),
        Mech("AES_CBC_PAD", IV),
        Mech("RSA_PKCS"),
        Mech("AES_CBC", IV[:15]),
        Mech("AES_ECB", IV),
        Mech("SHA256"),
        Mech("BOGUS"),
        None,
    ]
)
GOOD_CIPHERS = (
    Mech("AES_ECB"),
    Mech("AES_CBC", IV),
    Mech("AES_CBC_PAD", IV),
    Mech("RSA_PKCS"),
)
KEY = st.sampled_from([0, 0, 0, 1, 2])
SIGNATURES = st.sampled_from(
    [
        Mech("SHA256_HMAC"),
        Mech("RSA_PKCS"),
        Mech("SHA256_RSA_PKCS"),
        Mech("ECDSA"),
        Mech("AES_ECB"),
        Mech("BOGUS"),
        None,
    ]
)
RECOVERIES = st.sampled_from([Mech("RSA_PKCS"), Mech("RSA_PKCS"), Mech("SHA256_HMAC"), None])
DIGESTS = st.sampled_from([Mech("SHA256")] * 4 + [Mech("AES_ECB"), Mech("BOGUS"), None])
SEALS = st.sampled_from([Mech("AES_GCM")] * 4 + [Mech("AES_ECB"), None])
ONE_PART = {"RSA_PKCS", "ECDSA"}
GUESSES = st.sampled_from(["right", "right", "right", "wrong", "null", "old"])
NEW_PINS = st.sampled_from([b"123456", b"654321", b"87654321", b"1", b"9" * 300, None])


class Steps(RuleBasedStateMachine):
    """A machine without rules: `make` gives those of a sequence, `over` gets them at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.subjects = self.make()

    @staticmethod
    def make() -> list[Subject]:
        """Return fresh subjects."""
        raise NotImplementedError

    @staticmethod
    def over(subjects: list[Subject]) -> None:
        """Take note of what a sequence did."""

    def teardown(self) -> None:
        """Tell what was done; Hypothesis shows it for the sequence that failed."""
        for subject in self.subjects:
            note("\n".join(subject.log))
        self.over(self.subjects)

    def step(
        self, who: int, function: str, build: Callable[[Choices], tuple[Any, ...] | None]
    ) -> None:
        """Make a call on every device; a program without a session mostly opens one first."""
        for subject in self.subjects:
            if function not in {"OpenSession", "InitToken", "CloseAllSessions"}:
                subject.step(who, "OpenSession", first_session)
            subject.step(who, function, build)

    def have_key(self, who: int, recipe: str) -> None:
        """Have an object of a recipe that the program sees: make it where there is none."""
        wanted = RECIPES[recipe]["KEY_TYPE"], RECIPES[recipe]["CLASS"]

        def build(c: Choices) -> tuple[Any, ...] | None:
            seen = (o for o in c.app.handles.values() if c.app.sees(o))
            if any((o.key_type, o.kind) == wanted for o in seen):
                return None
            flags = {"TOKEN": False, "PRIVATE": False}
            return (c.session(0), template(recipe, c.world.new_name(), flags, None), Cell())

        self.step(who, "CreateObject", build)


def first_session(c: Choices) -> tuple[Any, ...] | None:
    """Return the arguments that open a session where a program has none."""
    return None if c.app.sessions else (c.slot, 6, None, None, Cell())


def pin_of(c: Choices, user: int, guess: str) -> Any:
    """Return a PIN: right, wrong, an old one, or NULL."""
    if guess == "null":
        return Null(6)
    pin = c.world.pin("SO" if user == 0 else "USER")
    if guess == "right" and pin is not None:
        return pin.value
    return b"00000000" if guess == "wrong" else b"123456"


def one_part(operation: Any) -> bool:
    """Tell whether an operation's mechanism works on data in one part only."""
    return operation is not None and operation.mechanism.name in ONE_PART


def signer(c: Choices, word: str, mechanism: Mech | None, key: int) -> int:
    """Return a key for a signature or its verification."""
    side = PRIVATE_SIDE if word == "Sign" else PUBLIC_SIDE
    if mechanism is not None and "RSA" in mechanism.name:
        return c.key(key, "RSA", side)
    if mechanism is not None and mechanism.name == "ECDSA":
        return c.key(key, "EC", side)
    return c.key(key, "GENERIC_SECRET", SECRET_SIDE)


def half(
    c: Choices, recipe: str, flags: dict[str, bool], without: tuple[str, ...]
) -> dict[str, Any]:
    values = template(recipe, c.world.new_name(), flags, None).values
    return {name: value for name, value in values.items() if name not in without}


def wrapped(c: Choices, opener: int, how: str) -> Any:
    """Return bytes to be unwrapped: those of a key under this one, or not."""
    if how == "null":
        return Null(24)
    made = bytes(24)
    key = c.app.handles.get(opener)
    if key is not None and key.key_type == "AES" and isinstance(key.secret, bytes):
        inner = bytes(range(50, 50 + (24 if how != "odd" else 40)))
        made = algorithms.wrap(key, type(key)({}, secret=inner)).data or made
    if how == "wrong":
        return made[:-1] + bytes([made[-1] ^ 1])
    return made[:16] if how == "short" else made

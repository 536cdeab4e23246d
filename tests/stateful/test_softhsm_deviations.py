"""Each entry of softhsm_deviations.toml is needed: here is a sequence in which it occurs."""

from collections.abc import Callable
from typing import Any

import pytest
from choices import IV, NOBODY, Choices
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from deviations import Deviations
from devices import SoftHsm
from recipes import template
from standard import material
from standard.values import Cell, Ecdh, Mech, Out, Template
from subjects import Subject

KNOWN = Deviations.of_softhsm()
ECB, RSA, SHA256 = Mech("AES_ECB"), Mech("RSA_PKCS"), Mech("SHA256")
WRAP = Mech("AES_KEY_WRAP")
KEY = (("CLASS", "SECRET_KEY"), ("KEY_TYPE", "AES"), ("LABEL", b"new"), ("TOKEN", False))
SECRET = (*KEY, ("PRIVATE", False), ("SENSITIVE", False), ("EXTRACTABLE", True))


class Replay:
    """Calls of one program in one R/W session; a recipe's name stands for its object."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._made: dict[str, int] = {}
        subject.step(0, "OpenSession", lambda c: (c.slot, 6, None, None, Cell()))

    def make(self, *recipes: str, **flags: bool) -> "Replay":
        """Create objects of recipes, all of them public session objects unless told otherwise."""
        for recipe in recipes:
            values = {"TOKEN": False, "PRIVATE": False, **flags}
            label = recipe.encode()
            self.call("CreateObject", template(recipe, label, values, None), Cell())
        return self

    def call(self, function: str, *arguments: Any) -> "Replay":
        """Make a call in the session."""

        def build(c: Choices) -> tuple[Any, ...]:
            return (c.session(0), *(self._found(c, each) for each in arguments))

        self.subject.step(0, function, build)
        return self

    @staticmethod
    def _found(c: Choices, argument: Any) -> Any:
        if not isinstance(argument, str):
            return argument
        label = argument.encode()
        return next(h for h, o in c.app.handles.items() if o.attributes["LABEL"] == label)


def twice(*pairs: tuple[str, Any]) -> Template:
    return Template((*pairs, ("LABEL", b"another")))


WRAPPED = bytes.fromhex("00" * 48)
REPLAYS: dict[str, Callable[[Replay], Any]] = {
    "arguments-before-session": lambda r: r.subject.step(
        0, "GetObjectSize", lambda _: (NOBODY, NOBODY, Cell(asked=False))
    ),
    "key-handle": lambda r: r.call("EncryptInit", ECB, NOBODY),
    "no-key": lambda r: r.make("data").call("EncryptInit", ECB, "data"),
    "no-wrapping-key": lambda r: r.make("data", "aes").call("WrapKey", WRAP, "data", "aes", Out()),
    "no-unwrapping-key": lambda r: r.make("data").call(
        "UnwrapKey", WRAP, "data", WRAPPED, Template(SECRET), Cell()
    ),
    "permission-before-type": lambda r: r.make("secret").call(
        "DeriveKey",
        Ecdh(material.OTHER_POINT),
        "secret",
        Template((*SECRET, ("VALUE_LEN", 16))),
        Cell(),
    ),
    "failure-leaves-object": lambda r: r.call(
        "CreateObject", Template((*SECRET, ("VALUE", bytes(16)), ("BOGUS", b"1"))), Cell()
    ),
    "digest-of-no-key": lambda r: (
        r.make("data").call("DigestInit", SHA256).call("DigestKey", "data")
    ),
    "digest-of-other-key": lambda r: (
        r.make("ec private").call("DigestInit", SHA256).call("DigestKey", "ec private")
    ),
    "other-key-type": lambda r: r.make("rsa private").call(
        "SignInit", Mech("ECDSA"), "rsa private"
    ),
    "attribute-twice": lambda r: r.call(
        "CreateObject", twice(*SECRET, ("VALUE", bytes(16))), Cell()
    ),
    "whole-within-parts": lambda r: (
        r.call("DigestInit", SHA256).call("DigestUpdate", b"part").call("Digest", b"whole", Out())
    ),
    "fault-leaves-operation": lambda r: r.call("DigestInit", SHA256).call(
        "Digest", b"data", Out(asked=False)
    ),
    "logout-of-nobody": lambda r: r.call("Logout"),
    "copy-changes-nothing": lambda r: r.make("data").call(
        "CopyObject",
        "data",
        Template((("LABEL", b"copy"), ("MODIFIABLE", False), ("TOKEN", False))),
        Cell(),
    ),
    "bound-for-length": lambda r: (
        r.make("rsa private")
        .call("DecryptInit", RSA, "rsa private")
        .call("Decrypt", sealed(), Out(16))
    ),
    "unmodifiable-too-early": lambda r: r.make("ec private").call(
        "DeriveKey",
        Ecdh(material.OTHER_POINT),
        "ec private",
        Template((("MODIFIABLE", False), *SECRET, ("VALUE_LEN", 16))),
        Cell(),
    ),
    "unwrapped-to-no-length": lambda r: r.make("aes").call(
        "UnwrapKey", WRAP, "aes", wrapped(40), Template(SECRET), Cell()
    ),
    "unwrapped-with-general-error": lambda r: r.make("aes").call(
        "UnwrapKey", WRAP, "aes", bytes(24), Template(SECRET), Cell()
    ),
    "parameter-as-mechanism": lambda r: r.make("aes").call(
        "EncryptInit", Mech("AES_CBC", IV[:15]), "aes"
    ),
    "length-as-general-error": lambda r: (
        r.make("rsa public")
        .call("EncryptInit", RSA, "rsa public")
        .call("Encrypt", bytes(250), Out())
    ),
    "copyable-for-good": lambda r: r.make("data").call(
        "SetAttributeValue", "data", Template((("COPYABLE", False),))
    ),
    "padding-as-general-error": lambda r: (
        r.make("aes")
        .call("DecryptInit", Mech("AES_CBC_PAD", IV), "aes")
        .call("Decrypt", bytes(16), Out())
    ),
    "stale-pin": lambda r: change_pin(r.subject),
    "long-truth": lambda r: r.call(
        "GenerateKeyPair",
        Mech("EC_KEY_PAIR_GEN"),
        Template((("EC_PARAMS", material.P256), ("TOKEN", False), ("PRIVATE", False))),
        Template((("PRIVATE", False), *SECRET[-2:], ("TOKEN", bytes(8)))),
        Cell(),
        Cell(),
    ),
}


def change_pin(subject: Subject) -> None:
    """Change the user's PIN in one program; another one, which has logged in before, uses it."""
    subject.step(1, "OpenSession", lambda c: (c.slot, 6, None, None, Cell()))
    subject.step(1, "Login", lambda c: (c.session(0), 1, b"123456"))
    subject.step(1, "Logout", lambda c: (c.session(0),))
    subject.step(0, "SetPIN", lambda c: (c.session(0), b"123456", b"654321"))
    subject.step(1, "Login", lambda c: (c.session(0), 1, b"654321"))


def sealed() -> bytes:
    """Return eight bytes under the RSA key."""
    return bytes(material.RSA.public_key().encrypt(b"12345678", padding.PKCS1v15()))


def wrapped(length: int) -> bytes:
    """Return so many bytes under the AES key."""
    return bytes(aes_key_wrap(bytes(range(16)), bytes(length)))


def test_there_is_a_replay_for_each_entry() -> None:
    assert {entry.id for entry in KNOWN.entries} == set(REPLAYS)


@pytest.mark.parametrize("name", list(REPLAYS))
def test_a_known_deviation_occurs(softhsm: SoftHsm, name: str) -> None:
    subject = Subject(softhsm, KNOWN)
    REPLAYS[name](Replay(subject))
    assert subject.occurred[:1] == [name], "\n".join(subject.log)

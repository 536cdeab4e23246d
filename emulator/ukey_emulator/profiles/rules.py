"""How fresh keys of a profile come by their labels and PINs."""

import re
import secrets
from dataclasses import dataclass
from typing import Self

from .identity import Identity
from .serial import LONGEST
from .table import Table

_LABEL_BYTES = 32
_RANDOM = "{random}"  # eight hexadecimal digits
_SERIAL = "{serial}"
_RANDOM_BYTES = 4
_TRIES = 255
_USER_PIN, _SO_PIN = "123456", "12345678"


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Token labels: a text in which {serial} and {random}, eight hexadecimal digits, may stand."""

    text: str = f"ukey-{_RANDOM}"

    @classmethod
    def read(cls, token: Table) -> Self:
        """Read the rule, which is the member label of [token]."""
        rule = cls(token.text("label", f"ukey-{_RANDOM}"))
        left = rule.text.replace(_RANDOM, "").replace(_SERIAL, "")
        if not rule.text or re.search("[{}]", left):
            raise token.refuse("label", "is a text with nothing in braces but {serial}, {random}")
        if len(rule.filled("0" * LONGEST).encode()) > _LABEL_BYTES:
            raise token.refuse("label", f"has more than {_LABEL_BYTES} bytes once it is filled in")
        return rule

    def filled(self, serial: str) -> str:
        """Give the label for a key with this serial number."""
        text = self.text.replace(_SERIAL, serial)
        return text.replace(_RANDOM, secrets.token_hex(_RANDOM_BYTES))


@dataclass(frozen=True, slots=True)
class Pins:
    """The PINs that fresh keys have, how many tries each PIN has, and how many are left of them."""

    user: str = _USER_PIN
    so: str = _SO_PIN
    tries: int = 10
    so_tries: int = 10
    tries_left: int = 10
    so_tries_left: int = 10

    @classmethod
    def read(cls, pins: Table, identity: Identity) -> Self:
        """Read them from [pins]; PINs that the key itself would not take are refused."""
        tries = pins.number("tries", 10, 1, _TRIES)
        so_tries = pins.number("so_tries", tries, 1, _TRIES)
        read = cls(
            pins.text("user", _USER_PIN),
            pins.text("so", _SO_PIN),
            tries,
            so_tries,
            pins.number("tries_left", tries, 0, tries),
            pins.number("so_tries_left", so_tries, 0, so_tries),
        )
        lengths = range(identity.min_pin_length, identity.max_pin_length + 1)
        for name, pin in (("user", read.user), ("so", read.so)):
            if len(pin.encode()) not in lengths:
                raise pins.refuse(
                    name, f"is a PIN of {lengths.start} to {lengths.stop - 1} bytes, as min and max"
                )
        return read

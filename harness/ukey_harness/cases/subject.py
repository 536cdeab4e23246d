"""What a case is put to: a module, one token in it, and what may be done with that token."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

# What a device's operator may be asked to do while a case runs.
ACTS = {
    "take_out": "take the token out",
    "plug_in": "plug the token in",
    "add_token": "plug another token in",
    "swap_token": "put another token into the slot",
    "fault": "have the token fail",
    "enter_pin": "enter a PIN on the token",
    "cancel_pin": "cancel a PIN's entry on the token",
}


def nobody_can(verb: str) -> str:
    """Return the sentence for an act that no operator of the device can do."""
    return f"Nobody can {ACTS[verb]} while a case runs on this device."


@dataclass(frozen=True)
class Subject:
    """A module and the token that cases work on, or a reader and the card in it.

    label, serial: how the token is found ("" is any); locks_after: wrong user PINs until the token
    locks (0: it does not); renewable: the token is thrown away afterwards; erasable: it is, or its
    owner consents to losing what is on it; acts: which of ACTS the device's operator can do;
    environment: what the module's process needs. reader: the PC/SC reader's name, "" where there
    is none; of a card pin is the PIV PIN, so_pin the PUK, management its management key in
    hexadecimal.
    """

    module: str
    label: str
    serial: str
    pin: str
    so_pin: str
    locks_after: int = 0
    renewable: bool = True
    erasable: bool = True
    acts: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    reader: str = ""
    management: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the subject as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the subject that `to_json` gave."""
        return cls(**{**values, "acts": tuple(values["acts"])})

    def with_environment(self, more: Mapping[str, str]) -> Self:
        """Return the same subject with more in its environment."""
        return replace(self, environment={**self.environment, **more})

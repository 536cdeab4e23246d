"""Where the fresh keys of a rack come from: one factory for all that are alike."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ukey_emulator.chip import Chip, Role
from ukey_emulator.chip.factory import Factory
from ukey_emulator.profiles import Identity, Profile, ProfileError
from ukey_emulator.profiles.rules import Pins

from .home import BAD_ARGUMENT, RackError

_LABEL_BYTES = 32
_TRIES = range(1, 256)


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants of a fresh key; None is as its profile says.

    A key that is not `initialized` has no PINs yet, no label and no objects.
    """

    profile: str
    label: str | None = None
    pin: str | None = None
    so_pin: str | None = None
    tries: int | None = None
    initialized: bool = True


class Factories:
    """The factories of a rack: PINs cost more than all else of a key, and are derived only once.

    `Keyring` calls this, one thread at a time. Faults are RackError, with what to do about them.
    """

    def __init__(self, *, lasting: bool) -> None:
        self._lasting = lasting
        self._factories: dict[bytes, Factory] = {}

    def make(self, path: Path, order: Order, draw: Callable[[Identity], str]) -> Chip:
        """Make a key in a new file, with the serial number that is drawn for such a key.

        A Refusal may leave a file that is none.
        """
        profile = _profile(order)
        pins = _pins(order, profile)
        serial = draw(profile.identity)
        label = order.label or profile.label.filled(serial)
        if len(label.encode()) > _LABEL_BYTES:
            raise RackError(f"the label has more than {_LABEL_BYTES} bytes of UTF-8", BAD_ARGUMENT)
        return Chip.make(
            path,
            serial,
            label if order.initialized else "",
            self._factory(pins) if order.initialized else None,
            lasting=self._lasting,
            profile=profile.facts,
        )

    def _factory(self, pins: Pins) -> Factory:
        name = hashlib.sha256(repr(pins).encode()).digest()
        if name not in self._factories:
            left = {Role.USER: pins.tries_left, Role.SO: pins.so_tries_left}
            self._factories[name] = Factory.of(
                pins.user.encode(), pins.so.encode(), pins.tries, pins.so_tries, left
            )
        return self._factories[name]


def _profile(order: Order) -> Profile:
    try:
        return Profile.load(order.profile)
    except ProfileError as error:
        raise RackError(f"the profile cannot be used: {error}", BAD_ARGUMENT) from error


def _pins(order: Order, profile: Profile) -> Pins:
    """Give the PINs of a fresh key: what is ordered, else what the profile says."""
    pins, identity = profile.pins, profile.identity
    if order.tries is not None:
        if order.tries not in _TRIES:
            raise RackError("a PIN has 1 to 255 tries", BAD_ARGUMENT)
        tries = order.tries
        pins = replace(pins, tries=tries, so_tries=tries, tries_left=tries, so_tries_left=tries)
    pins = replace(pins, user=order.pin or pins.user, so=order.so_pin or pins.so)
    lengths = range(identity.min_pin_length, identity.max_pin_length + 1)
    if not all(len(pin.encode()) in lengths for pin in (pins.user, pins.so)):
        raise RackError(f"a PIN has {lengths.start} to {lengths.stop - 1} bytes", BAD_ARGUMENT)
    return pins

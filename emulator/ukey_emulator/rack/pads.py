"""The PIN pads of a rack's keys: a script in the place of their holders' fingers."""

from dataclasses import dataclass

from ukey_emulator.chip import Chip
from ukey_emulator.pad import Button
from ukey_emulator.slots import Slots

from .home import BAD_ARGUMENT, RackError
from .keyring import Keyring


@dataclass(frozen=True, slots=True)
class PadInfo:
    """A PIN pad: how much is still to be typed on it, and whether a program waits for it."""

    key: str
    queued: int
    asking: bool


class Pads:
    """What is typed on pads is taken in turn, by the calls that ask for a PIN, or come to ask.

    It is gone when the key is pulled out. Faults are RackError.
    """

    def __init__(self, keys: Keyring, slots: Slots) -> None:
        self._keys = keys
        self._slots = slots

    def enter(self, name: str, pin: str) -> PadInfo:
        """Type a PIN."""
        chip = self._chip(name)
        self._slots.press(chip, pin.encode())
        return self._info(name, chip)

    def press(self, name: str, button: str) -> PadInfo:
        """Press `cancel`, or do nothing until time is up: `timeout`."""
        chip = self._chip(name)
        try:
            self._slots.press(chip, Button(button))
        except ValueError:
            known = " or ".join(Button)
            raise RackError(f"a PIN pad has the button {known}", BAD_ARGUMENT) from None
        return self._info(name, chip)

    def show(self, name: str) -> PadInfo:
        """Tell of a pad."""
        return self._info(name, self._chip(name))

    def _info(self, name: str, chip: Chip) -> PadInfo:
        return PadInfo(name, *self._slots.pad(chip))

    def _chip(self, name: str) -> Chip:
        chip = self._keys.plugged(name)
        if chip.identity.pad is None:
            raise RackError(f"{name} has no PIN pad: make a key of the profile pin-pad")
        return chip

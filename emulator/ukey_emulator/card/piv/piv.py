"""What the commands of the PIV application share: the key behind it, and its security status."""

from ukey_emulator.chip import Chip, PinRefusal, Role

from .containers import Containers
from .management import Management
from .objects import DataObjects
from .state import Volatile


class Piv:
    """PIV on a chip (NIST SP 800-73-5 Part 2), with Yubico's additions.

    A login of the card is one of the chip's, which ends with the security status.
    """

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.keys = Containers(chip)
        self.data = DataObjects(chip, self.keys)
        self.management = Management(chip)
        self.state = Volatile()
        self._era = chip.era

    def refresh(self) -> None:
        """Know nobody any more, if the token has been wiped meanwhile."""
        if self._era != self.chip.era:
            self._era = self.chip.era
            self.state = Volatile()

    def forget(self) -> None:
        """Forget the security status, and end the login."""
        self.log_out()
        self.state = Volatile()

    def log_in(self, pin: bytes) -> None:
        """Verify the PIN; with a wrong one nobody is logged in. PinRefusal, Refusal."""
        try:
            if self.state.verified:
                self.chip.verify_pin(Role.USER, pin)
            else:
                self._era = self.chip.log_in(Role.USER, pin)
        except PinRefusal:
            self.log_out()
            raise
        self.state.verified = self.state.just_verified = True

    def log_out(self) -> None:
        """End the login, if there is one."""
        if self.state.verified:
            self.chip.log_out(Role.USER, self._era)
        self.state.verified = self.state.just_verified = False

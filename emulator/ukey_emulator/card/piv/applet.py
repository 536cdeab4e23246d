"""The PIV card application: its table of commands and its security status."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

from ukey_emulator.card import tlv
from ukey_emulator.card.apdu import Command
from ukey_emulator.card.applet import Applet
from ukey_emulator.chip import Chip, PinRefusal, Role

from . import (
    administrator,
    attest,
    authenticate,
    data,
    generate,
    importing,
    metadata,
    moving,
    pins,
    yubico,
)
from .containers import Containers
from .management import Management
from .objects import DataObjects
from .state import Volatile

_PROPERTIES, _IDENTIFIER, _AUTHORITY, _LABEL = 0x61, 0x4F, 0x79, 0x50
_RID_LENGTH = 5


class Piv(Applet):
    """PIV on a chip (NIST SP 800-73-5 Part 2), with Yubico's additions.

    The functions of the table stand in files of their own; what they share is here. A login of the
    card is one of the chip's, which ends with the security status.
    """

    aid: ClassVar[bytes] = bytes.fromhex("A000000308 000010000100")
    instructions: ClassVar[Mapping[int, Callable[[Any, Command], bytes]]] = {
        0x20: pins.verify,
        0x24: pins.change_reference_data,
        0x2C: pins.reset_retry_counter,
        0x47: generate.generate,
        0x87: authenticate.general_authenticate,
        0xCB: data.get_data,
        0xDB: data.put_data,
        0xF6: moving.move_key,
        0xF7: metadata.get_metadata,
        0xF8: yubico.serial_number,
        0xF9: attest.attest,
        0xFA: yubico.set_tries,
        0xFB: yubico.reset,
        0xFD: yubico.version,
        0xFE: importing.import_key,
        0xFF: administrator.set_management_key,
    }
    reading: ClassVar[Collection[int]] = frozenset({0x87, 0xCB, 0xF8, 0xFD})

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.keys = Containers(chip)
        self.data = DataObjects(chip, self.keys)
        self.management = Management(chip)
        self.state = Volatile()
        self._era = chip.era

    def select(self) -> bytes:
        """Give the application property template; the security status stays (§3.1.1)."""
        rid, pix = self.aid[:_RID_LENGTH], self.aid[_RID_LENGTH:]
        return tlv.pack(
            _PROPERTIES,
            tlv.pack(_IDENTIFIER, pix)
            + tlv.pack(_AUTHORITY, tlv.pack(_IDENTIFIER, rid))
            + tlv.pack(_LABEL, b"ukeylab PIV"),
        )

    def deselect(self) -> None:
        """Forget the security status, and end the login."""
        self.log_out()
        self.state = Volatile()

    def perform(self, command: Command) -> bytes:
        """Carry a command out; a token that has been wiped meanwhile knows nobody any more."""
        if self._era != self.chip.era:
            self._era = self.chip.era
            self.state = Volatile()
        return super().perform(command)

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

"""The PIV card application: its name and its table of commands."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

from ukey_emulator.card import tlv
from ukey_emulator.card.apdu import Command
from ukey_emulator.card.applet import Applet

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
from .piv import Piv

_PROPERTIES, _IDENTIFIER, _AUTHORITY, _LABEL = 0x61, 0x4F, 0x79, 0x50
_RID_LENGTH = 5


class PivApplet(Piv, Applet):
    """PIV, as the card selects it and hands it commands."""

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
        self.forget()

    def perform(self, command: Command) -> bytes:
        """Carry a command out; a token that has been wiped meanwhile knows nobody any more."""
        self.refresh()
        return super().perform(command)

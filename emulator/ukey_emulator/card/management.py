"""Yubico's management application, which `ykman` asks what kind of key this is."""

from collections.abc import Callable, Collection, Mapping
from enum import IntEnum
from typing import Any, ClassVar

from ukey_emulator.chip import Chip

from . import tlv
from .apdu import Command
from .applet import Applet
from .piv.yubico import VERSION, serial_of
from .status import SW, CardRefusal


class Fact(IntEnum):
    """What a key tells of itself, by tag (as `yubikit` reads them)."""

    USB_SUPPORTED = 0x01
    SERIAL = 0x02
    USB_ENABLED = 0x03
    FORM_FACTOR = 0x04
    VERSION = 0x05
    CONFIG_LOCK = 0x0A
    NFC_SUPPORTED = 0x0D
    NFC_ENABLED = 0x0E


_PIV = b"\x00\x10"  # the one capability that we have
_KEYCHAIN = b"\x01"  # a USB-A key


class DeviceManagement(Applet):
    """What the key is, to be read; there is nothing that could be configured."""

    aid: ClassVar[bytes] = bytes.fromhex("A000000527 471117")

    def __init__(self, chip: Chip) -> None:
        self._chip = chip

    def select(self) -> bytes:
        """Give the version as text, as such keys do."""
        return "ukeylab test key - FW version {}.{}.{}".format(*VERSION).encode()

    def read_config(self, command: Command) -> bytes:
        """Give the facts, their length in front; there is one page of them. 6A86."""
        if command.p1p2:
            raise CardRefusal(SW.INCORRECT_P1_P2, "there is only page 0")
        facts = {
            Fact.USB_SUPPORTED: _PIV,
            Fact.SERIAL: serial_of(self._chip.identity.serial).to_bytes(4),
            Fact.USB_ENABLED: _PIV,
            Fact.FORM_FACTOR: _KEYCHAIN,
            Fact.VERSION: bytes(VERSION),
            Fact.CONFIG_LOCK: b"\x00",
            # A reader that is none of Yubico's own is taken for a wireless one.
            Fact.NFC_SUPPORTED: _PIV,
            Fact.NFC_ENABLED: _PIV,
        }
        told = b"".join(tlv.pack(fact, value) for fact, value in facts.items())
        return bytes([len(told)]) + told

    instructions: ClassVar[Mapping[int, Callable[[Any, Command], bytes]]] = {0x1D: read_config}
    reading: ClassVar[Collection[int]] = frozenset(instructions)

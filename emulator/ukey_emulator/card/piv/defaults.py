"""What the data objects say that nobody has put: computed from serial number and slots."""

from collections.abc import Collection

from ukey_emulator.card import tlv

from .held import RETIRED

_APPLICATION = bytes.fromhex("A000000308000010000100")
_GUID_LENGTH = 16

# A FASC-N of no federal agency (9999), which says that the GUID is the identifier
# (SP 800-73-5 Part 1 §3.1.2; the digits as NIST's TIG SCEPACS 2.3 packs them).
_NUMBER = bytes.fromhex("D4E739DA739CED39CE739D836858210842108421C84210C3EB")
_EXPIRES = b"20991231"


def guid(serial: str) -> bytes:
    """Give the serial number as a GUID: programs that read this show its end, as OpenSC does."""
    try:
        number = bytes.fromhex(serial)
    except ValueError:
        number = serial.encode()
    return number[-_GUID_LENGTH:].rjust(_GUID_LENGTH, b"\0")


def holder(serial: str) -> bytes:
    """Give the card holder unique identifier (SP 800-73-5 Part 1 §3.1.2)."""
    return b"".join(
        (
            tlv.pack(0x30, _NUMBER),
            tlv.pack(0x34, guid(serial)),
            tlv.pack(0x35, _EXPIRES),
            tlv.pack(0x3E, b""),  # no issuer has signed it
            tlv.pack(0xFE, b""),
        )
    )


def capabilities(serial: str) -> bytes:
    """Give the card capability container (SP 800-73-5 Part 1 §3.1.1)."""
    # RID of the GSC, manufacturer and type of card, then what tells cards apart.
    identifier = bytes.fromhex("A000000116FF02") + guid(serial)[-14:]
    return b"".join(
        (
            tlv.pack(0xF0, identifier),
            tlv.pack(0xF1, b"\x21"),
            tlv.pack(0xF2, b"\x21"),
            tlv.pack(0xF3, b""),
            tlv.pack(0xF4, b"\x00"),
            tlv.pack(0xF5, b"\x10"),
            *(tlv.pack(tag, b"") for tag in (0xF6, 0xF7, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE)),
        )
    )


def discovery() -> bytes:
    """Give the discovery object: this is PIV, and has a PIN of its own alone (§3.3.2)."""
    return tlv.pack(0x4F, _APPLICATION) + tlv.pack(0x5F2F, b"\x40\x00")


def key_history(certified: Collection[int]) -> bytes | None:
    """Give the key history for slots with certificates, None without retired keys (§3.3.3).

    Programs look at as many of the retired slots, from the first, as it counts.
    """
    counts = [count for count, slot in enumerate(RETIRED, 1) if slot in certified]
    if not counts:
        return None
    on_card = tlv.pack(0xC1, bytes([counts[-1]]))
    return on_card + tlv.pack(0xC2, b"\x00") + tlv.pack(0xFE, b"")

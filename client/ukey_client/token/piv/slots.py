"""The places of a PIV card: key references, and the data objects that belong to them."""

from typing import Final

AUTHENTICATION: Final = 0x9A
SIGNATURE: Final = 0x9C
KEY_MANAGEMENT: Final = 0x9D
CARD_AUTHENTICATION: Final = 0x9E
MANAGEMENT: Final = 0x9B
PIN: Final = 0x80
RETIRED: Final = range(0x82, 0x96)
"""Key references of retired key management keys 1 to 20 (SP 800-73-4 Part 1, table 4b)."""

_CERTIFICATES: Final = {
    AUTHENTICATION: 0x5FC105,
    SIGNATURE: 0x5FC10A,
    KEY_MANAGEMENT: 0x5FC10B,
    CARD_AUTHENTICATION: 0x5FC101,
}
_FIRST_RETIRED_CERTIFICATE: Final = 0x5FC10D
_NAMES: Final = {
    AUTHENTICATION: "PIV Authentication",
    SIGNATURE: "Digital Signature",
    KEY_MANAGEMENT: "Key Management",
    CARD_AUTHENTICATION: "Card Authentication",
}
PRIMARY: Final = tuple(_CERTIFICATES)
"""The references that every PIV card may hold a key under."""

CHUID: Final = 0x5FC102
FACIAL_IMAGE: Final = 0x5FC108
PRINTED_INFORMATION: Final = 0x5FC109
KEY_HISTORY: Final = 0x5FC10C
ADMIN_DATA: Final = 0x5FFF00
"""Where ykman writes down how the management key is kept."""
ROOTS: Final = range(0x5FFF11, 0x5FFF16)
"""`msroots`, the PKCS#7 of authorities, in up to five parts (Yubico's objects)."""
LABELS: Final = 0x5FFF20
"""Ours: the labels that PIV itself does not have, see `labels`."""


def certificate_tag(reference: int) -> int:
    """Give the data object that holds the certificate of a key (SP 800-73-4 Part 1, table 3)."""
    if reference in RETIRED:
        return _FIRST_RETIRED_CERTIFICATE + reference - RETIRED.start
    return _CERTIFICATES[reference]


def name_of(reference: int) -> str:
    """Give a key's name with its reference: "PIV Authentication (9A)"."""
    if reference in RETIRED:
        return f"Retired Key Management {reference - RETIRED.start + 1} ({reference:X})"
    return f"{_NAMES[reference]} ({reference:X})"

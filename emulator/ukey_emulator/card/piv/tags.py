"""The data objects of PIV: tags, object identifiers and names (NIST SP 800-73-5 Part 1 §4)."""

import uuid
from dataclasses import dataclass

from ukey_emulator.chip.keys.curves import identified

from .held import (
    ATTESTATION,
    AUTHENTICATION,
    CARD_AUTHENTICATION,
    KEY_MANAGEMENT,
    RETIRED,
    SIGNATURE,
)

CAPABILITIES, HOLDER, KEY_HISTORY, DISCOVERY = 0x5FC107, 0x5FC102, 0x5FC10C, 0x7E

CERTIFICATES = {
    0x5FC105: AUTHENTICATION,
    0x5FC10A: SIGNATURE,
    0x5FC10B: KEY_MANAGEMENT,
    0x5FC101: CARD_AUTHENTICATION,
    **dict(enumerate(RETIRED, 0x5FC10D)),
    0x5FFF01: ATTESTATION,
}
"""The tags of certificates, and the slots that they are in."""

_PIV = "2.16.840.1.101.3.7"
# Tags that no table has an identifier for have one below a UUID (X.667 §6), drawn for ukeylab.
_OURS = f"2.25.{uuid.UUID('ddcc0e92-40ed-4e4a-9b54-02d08f725aa1').int}"


@dataclass(frozen=True, slots=True)
class Named:
    """What a tag stands for: object identifier, name, and whether it wants the PIN to be read."""

    identifier: str
    name: str
    private: bool = False


_NAMED = {
    CAPABILITIES: Named(f"{_PIV}.1.219.0", "Card Capability Container"),
    HOLDER: Named(f"{_PIV}.2.48.0", "Card Holder Unique Identifier"),
    0x5FC105: Named(f"{_PIV}.2.1.1", "X.509 Certificate for PIV Authentication"),
    0x5FC103: Named(f"{_PIV}.2.96.16", "Cardholder Fingerprints", private=True),
    0x5FC106: Named(f"{_PIV}.2.144.0", "Security Object"),
    0x5FC108: Named(f"{_PIV}.2.96.48", "Cardholder Facial Image", private=True),
    0x5FC101: Named(f"{_PIV}.2.5.0", "X.509 Certificate for Card Authentication"),
    0x5FC10A: Named(f"{_PIV}.2.1.0", "X.509 Certificate for Digital Signature"),
    0x5FC10B: Named(f"{_PIV}.2.1.2", "X.509 Certificate for Key Management"),
    0x5FC109: Named(f"{_PIV}.2.48.1", "Printed Information", private=True),
    DISCOVERY: Named(f"{_PIV}.2.96.80", "Discovery Object"),
    KEY_HISTORY: Named(f"{_PIV}.2.96.96", "Key History Object"),
    **{
        tag: Named(f"{_PIV}.2.16.{count}", f"Retired X.509 Certificate for Key Management {count}")
        for count, tag in enumerate(range(0x5FC10D, 0x5FC121), 1)
    },
    0x5FC121: Named(f"{_PIV}.2.16.21", "Cardholder Iris Image", private=True),
    0x7F61: Named(f"{_PIV}.2.16.22", "Biometric Information Templates Group Template"),
    0x5FC122: Named(f"{_PIV}.2.16.23", "Secure Messaging Certificate Signer"),
    0x5FC123: Named(f"{_PIV}.2.16.24", "Pairing Code Reference Data Container", private=True),
}


def named(tag: int) -> Named:
    """Tell what a tag stands for; other tags are objects too, with a name made of the tag."""
    return _NAMED.get(tag) or Named(f"{_OURS}.{tag}", f"PIV data object {tag:X}")


def identifier(tag: int) -> bytes:
    """Give CKA_OBJECT_ID of the data object with this tag: the DER of its identifier."""
    return identified(named(tag).identifier)

"""Labels, which PIV does not have: kept in a data object of our own.

A renewal knows by their labels what it has made (see `renewal.unfinished`). So a card must keep
them, or nothing can be renewed on it; what was never labelled is called by its certificate's
owner. The object is a list of `80 { 81 reference, 82 label in UTF-8, 83 home, 84 public key }`:
under which key reference the label holds, which one is to be the key's when that is free, and the
SubjectPublicKeyInfo of the pair, once there is one: not every card tells the public key of a pair
that has no certificate.
"""

from dataclasses import dataclass

from ukey_client.token.piv import tlv

_ENTRY, _REFERENCE, _LABEL, _HOME, _KEY = 0x80, 0x81, 0x82, 0x83, 0x84


@dataclass(frozen=True)
class Label:
    """A label, the key reference that its key is to have, and its public key (DER)."""

    text: str
    home: int
    key: bytes = b""


Labels = dict[int, Label]
"""Labels by key reference."""


def read(content: bytes | None) -> Labels:
    """Read the object; what is no such list holds no labels."""
    found: Labels = {}
    try:
        for tag, entry in tlv.parse(content or b""):
            parts = dict(tlv.parse(entry))
            if tag == _ENTRY:
                home = int.from_bytes(parts[_HOME], "big")
                label = Label(parts[_LABEL].decode(), home, parts.get(_KEY, b""))
                found[int.from_bytes(parts[_REFERENCE], "big")] = label
    except (tlv.TlvError, KeyError, UnicodeDecodeError):
        return {}
    return found


def write(labels: Labels) -> bytes:
    """Write the object, empty for no labels."""
    return b"".join(
        tlv.encode(
            _ENTRY,
            tlv.encode(_REFERENCE, bytes([reference]))
            + tlv.encode(_LABEL, label.text.encode())
            + tlv.encode(_HOME, bytes([label.home]))
            + tlv.encode(_KEY, label.key),
        )
        for reference, label in sorted(labels.items())
    )

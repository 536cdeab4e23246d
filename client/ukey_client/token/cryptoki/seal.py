"""The picture of the electronic seal: a data object (CKO_DATA, PKCS#11 v3.2 §4.5)."""

from typing import Final

import pkcs11
from pkcs11 import Attribute, ObjectClass

from ukey_client.errors import SealHidden
from ukey_client.token.cryptoki.attributes import find, read
from ukey_client.token.piv import objects

SEAL_LABEL: Final = "电子印章"
SEAL_APPLICATION: Final = "ukeylab"
# Data objects of a PIV card all stand below 2.16.840.1.101.3.7; the face is 2.96.48 there
# (SP 800-73-4 Part 1, table 3).
_PIV: Final = bytes.fromhex("60864801650307")
_FACE: Final = _PIV + bytes.fromhex("026030")
_OID_TAG: Final = 0x06


def read_seal(session: pkcs11.Session, *, logged_in: bool) -> bytes | None:
    """Read the seal, ours before another of that name; None if the key has none.

    On a PIV card behind a module that shows its data objects (OpenSC's does) it is the picture in
    the object of the face: SealHidden before login, which guards that object.
    """
    named = {Attribute.CLASS: ObjectClass.DATA, Attribute.LABEL: SEAL_LABEL}
    found = find(session, named)
    found.sort(key=lambda one: read(one, Attribute.APPLICATION, "") != SEAL_APPLICATION)
    if found:
        return bytes(read(found[0], Attribute.VALUE, b""))
    of_a_card = {_oid(one): one for one in find(session, {Attribute.CLASS: ObjectClass.DATA})}
    if not logged_in and any(oid.startswith(_PIV) for oid in of_a_card):
        raise SealHidden
    face = of_a_card.get(_FACE)
    return None if face is None else objects.read_seal(bytes(read(face, Attribute.VALUE, b"")))


def _oid(found: pkcs11.Object) -> bytes:
    """Give the content of CKA_OBJECT_ID, which is the DER of an OID; OpenSC leaves its head off."""
    encoded = bytes(read(found, Attribute.OBJECT_ID, b""))
    has_head = len(encoded) > 1 and encoded[0] == _OID_TAG and encoded[1] == len(encoded) - 2
    return encoded[2:] if has_head else encoded

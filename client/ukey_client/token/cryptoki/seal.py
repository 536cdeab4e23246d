"""The picture of the electronic seal: a data object (CKO_DATA, PKCS#11 v3.2 §4.5)."""

from typing import Final

import pkcs11
from pkcs11 import Attribute, ObjectClass

from ukey_client.errors import SealHidden
from ukey_client.token.cryptoki.attributes import find, read
from ukey_client.token.piv import objects

SEAL_LABEL: Final = "电子印章"
SEAL_APPLICATION: Final = "ukeylab"
# Data objects of a PIV card, DER of their OIDs (SP 800-73-4 Part 1, table 3).
_FACIAL_IMAGE: Final = bytes.fromhex("060a60864801650307026030")  # 2.16.840.1.101.3.7.2.96.48
_CHUID: Final = bytes.fromhex("0609608648016503073000")  # 2.16.840.1.101.3.7.48.0


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
    if not logged_in and _data(session, _CHUID):
        raise SealHidden
    for face in _data(session, _FACIAL_IMAGE):
        picture = objects.read_seal(bytes(read(face, Attribute.VALUE, b"")))
        if picture is not None:
            return picture
    return None


def _data(session: pkcs11.Session, oid: bytes) -> list[pkcs11.Object]:
    return find(session, {Attribute.CLASS: ObjectClass.DATA, Attribute.OBJECT_ID: oid})

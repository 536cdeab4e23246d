"""What stands outside on a sealed object, for who may replace it or use it without reading it."""

from ukey_emulator.terms import CKA, CKO

from .objects import Object
from .objects.kinds import pack_template

_STORAGE = (CKA.CLASS, CKA.UNIQUE_ID, CKA.TOKEN, CKA.PRIVATE, CKA.DESTROYABLE)
_KEY = (*_STORAGE, CKA.KEY_TYPE, CKA.ID, CKA.PUBLIC_KEY_INFO)
# Class → the attributes that a card tells of such objects, or finds them by.
_OUTSIDE: dict[int, tuple[CKA, ...]] = {
    CKO.DATA: (*_STORAGE, CKA.OBJECT_ID),
    CKO.CERTIFICATE: (*_STORAGE, CKA.CERTIFICATE_TYPE, CKA.ID, CKA.PUBLIC_KEY_INFO),
    CKO.PUBLIC_KEY: _KEY,
    CKO.PRIVATE_KEY: (
        *_KEY,
        CKA.LOCAL,
        CKA.ALWAYS_SENSITIVE,
        CKA.NEVER_EXTRACTABLE,
        CKA.ALWAYS_AUTHENTICATE,
        CKA.SIGN,
        CKA.DECRYPT,
        CKA.UNWRAP,
        CKA.DERIVE,
    ),
}


def outside_of(obj: Object) -> bytes:
    """Give what may be read of a private object while it is sealed; nothing of most."""
    attributes = obj.attributes
    if obj.kind == CKO.DATA and not attributes.get(CKA.OBJECT_ID):
        return b""
    shown = _OUTSIDE.get(obj.kind, ())
    return pack_template((each, attributes[each]) for each in shown if each in attributes)

"""Attributes and objects as this client reads them, robust against what keys get wrong."""

from struct import Struct
from typing import Any, Final

import pkcs11
from pkcs11 import Attribute, ObjectClass
from pkcs11.attributes import AttributeMapper

PIN_COUNTER: Final = 0x80000001
"""CKA_HW_FEATURE_TYPE of the object in which some keys tell the exact PIN tries left."""
USER_TRIES_LEFT: Final = 0x80554B01
"""CK_ULONG: tries left for the user PIN."""

_ULONG = Struct("L")


def tolerant_mapper() -> AttributeMapper:
    """Make a mapper that reads labels in any encoding, and the PIN counter's attributes."""
    mapper = AttributeMapper()
    for text in (Attribute.LABEL, Attribute.APPLICATION):
        mapper.register_handler(text, str.encode, _text)
    for number in (Attribute.HW_FEATURE_TYPE, USER_TRIES_LEFT):
        mapper.register_handler(number, _ULONG.pack, _number)  # type: ignore[arg-type]
    return mapper


def find(session: pkcs11.Session, template: dict[Attribute, Any]) -> list[pkcs11.Object]:
    """All objects that match.

    The search is ended before the first object is used: python-pkcs11 keeps it open for as
    long as its generator lives, and a key has only one search for each session.
    """
    return list(session.get_objects(template))


def find_one(
    session: pkcs11.Session, object_class: ObjectClass, id_: bytes
) -> pkcs11.Object | None:
    """Find the object of this class and CKA_ID, None if there is none or the id is empty."""
    if not id_:
        return None
    found = find(session, {Attribute.CLASS: object_class, Attribute.ID: id_})
    return found[0] if found else None


def read(subject: pkcs11.Object, attribute: Attribute, default: Any) -> Any:  # noqa: ANN401 - as the attribute
    """One attribute, or the default where the key does not have it or does not give it."""
    try:
        return subject[attribute]
    except (pkcs11.AttributeTypeInvalid, pkcs11.AttributeSensitive, pkcs11.FunctionFailed):
        return default


def read_tries_left(session: pkcs11.Session) -> int | None:
    """Read the exact number of user PIN tries left, where the key tells it."""
    try:
        for feature in find(session, {Attribute.CLASS: ObjectClass.HW_FEATURE}):
            if read(feature, Attribute.HW_FEATURE_TYPE, None) == PIN_COUNTER:
                tries = read(feature, USER_TRIES_LEFT, None)  # type: ignore[arg-type]
                return None if tries is None else int(tries)
    except pkcs11.PKCS11Error:
        return None  # keys without hardware features refuse the search in many ways
    return None


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


def _number(value: bytes) -> int | None:
    return int(_ULONG.unpack(value)[0]) if len(value) == _ULONG.size else None

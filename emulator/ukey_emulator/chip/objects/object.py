"""An object of a key: its attributes, and the key material that they amount to."""

import secrets
from dataclasses import dataclass, field

from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKO, CKR

from .kinds import FALSE, TRUE, as_number
from .rules import TABLES, Note, Table

_KEYS = (CKO.PUBLIC_KEY, CKO.PRIVATE_KEY, CKO.SECRET_KEY)
_OF_KEYS = (*_KEYS, CKO.DOMAIN_PARAMETERS)
_TOKEN, _PRIVATE = int(CKA.TOKEN), int(CKA.PRIVATE)


@dataclass(slots=True, eq=False)
class Object:
    """One object; `attributes` maps attribute types to the bytes of their values.

    `table` holds the rules for the attributes of such an object. `kind` is its class, `key_type`
    its key type, None for an object that is no key; neither ever changes.
    `row` is its place in the store, None for a session object. `material` is the loaded key,
    kept so that a key is loaded once and not at each use.
    """

    attributes: dict[int, bytes]
    table: Table
    row: int | None = None
    material: object = None
    kind: int = field(init=False)
    key_type: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.kind = as_number(self.attributes[CKA.CLASS])
        is_key = self.kind in _KEYS
        self.key_type = as_number(self.attributes[CKA.KEY_TYPE]) if is_key else None

    def flag(self, attribute: int) -> bool:
        """Tell whether a CK_BBOOL attribute is there and true."""
        return self.attributes.get(attribute, FALSE) == TRUE

    @property
    def on_token(self) -> bool:
        """Whether it is a token object."""
        return self.attributes.get(_TOKEN) == TRUE

    @property
    def private(self) -> bool:
        """Whether it is seen by the user alone."""
        return self.attributes.get(_PRIVATE) == TRUE

    def withholds(self, attribute: int) -> bool:
        """Tell whether the value of this attribute is not given out (PKCS#11 3.2 §5.7.5)."""
        rule = self.table.get(attribute)
        if rule is None or not rule.notes & Note.SECRET:
            return False
        return self.flag(CKA.SENSITIVE) or not self.flag(CKA.EXTRACTABLE)

    def matches(self, wanted: dict[int, bytes]) -> bool:
        """Tell whether each wanted attribute is there with exactly that value."""
        for attribute, value in wanted.items():
            if self.attributes.get(attribute) != value or self.withholds(attribute):
                return False
        return True

    def twin(self) -> "Object":
        """Give a copy with the same attributes and a CKA_UNIQUE_ID of its own, not stored yet."""
        attributes = {**self.attributes, CKA.UNIQUE_ID: unique_id()}
        return Object(attributes, self.table)


def unique_id() -> bytes:
    """Make a value for CKA_UNIQUE_ID (PKCS#11 3.2 §4.4.1)."""
    return secrets.token_hex(16).encode()


def table_of(attributes: dict[int, bytes]) -> Table:
    """Find the table for these attributes by class and type.

    CKR_TEMPLATE_INCOMPLETE if the class or the type is missing, CKR_ATTRIBUTE_VALUE_INVALID if
    the key can hold no such object.
    """
    kind = _named(attributes, CKA.CLASS)
    if kind == CKO.CERTIFICATE:
        subtype = _named(attributes, CKA.CERTIFICATE_TYPE)
    elif kind in _OF_KEYS:
        subtype = _named(attributes, CKA.KEY_TYPE)
    else:
        subtype = 0
    try:
        return TABLES[kind, subtype]
    except KeyError:
        raise Refusal(
            CKR.ATTRIBUTE_VALUE_INVALID, f"no object of class {kind:#x}, type {subtype:#x}"
        ) from None


def _named(attributes: dict[int, bytes], attribute: CKA) -> int:
    value = attributes.get(attribute)
    if value is None:
        raise Refusal(CKR.TEMPLATE_INCOMPLETE, f"CKA_{attribute.name} is missing")
    return as_number(value)

"""Templates applied whole or not at all: objects made, copied and changed by the tables."""

from collections.abc import Iterable
from enum import Enum

from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKO, CKR, CKT

from .kinds import FALSE, TRUE, UNAVAILABLE, boolean, number
from .object import Object, table_of, unique_id
from .rules import KNOWN, TRUSTS, Note, Table

_DISTRUST = (number(CKT.TRUST_UNKNOWN), number(CKT.NOT_TRUSTED))

# What follows from the key itself, and may be told all the same if it is right (§4.10, §4.11.2).
_DERIVED = (CKA.PUBLIC_KEY_INFO, CKA.CHECK_VALUE)

Template = Iterable[tuple[int, bytes | None]]


class Origin(Enum):
    """How an object comes to be: which footnote demands an attribute, and which forbids it."""

    CREATED = (Note.MUST_CREATE, Note.NOT_CREATE)
    GENERATED = (Note.MUST_GENERATE, Note.NOT_GENERATE)
    UNWRAPPED = (Note.MUST_UNWRAP, Note.NOT_UNWRAP)
    DERIVED = (Note.NONE, Note.NOT_GENERATE)


def collect(template: Template) -> dict[int, bytes]:
    """Read a template into a mapping.

    CKR_ATTRIBUTE_VALUE_INVALID for an attribute without a value, CKR_ATTRIBUTE_TYPE_INVALID for a
    number that the standard does not have, CKR_TEMPLATE_INCONSISTENT for one attribute with two
    values (PKCS#11 3.2 §4.1.1).
    """
    found: dict[int, bytes] = {}
    for attribute, value in template:
        if attribute not in KNOWN:
            raise Refusal(CKR.ATTRIBUTE_TYPE_INVALID, f"attribute {attribute:#x}")
        if value is None:
            raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_{CKA(attribute).name} has no value")
        if found.setdefault(attribute, value) != value:
            raise Refusal(CKR.TEMPLATE_INCONSISTENT, f"CKA_{CKA(attribute).name} stands twice")
    return found


def build(
    template: Template,
    origin: Origin,
    given: dict[int, bytes] | None = None,
    *,
    mechanism: int = UNAVAILABLE,
    as_so: bool = False,
) -> Object:
    """Make an object from a template.

    `given` is what the mechanism contributes (class, key type, the material itself); a template
    that contradicts it is CKR_TEMPLATE_INCONSISTENT. `mechanism` made the key, `as_so` says
    that the SO is logged in and so may set CKA_TRUSTED. The object is not stored yet.
    """
    given = given or {}
    wanted = collect(template)
    demanded, forbidden = origin.value
    table = table_of({**wanted, **given})
    for attribute, value in wanted.items():
        _admit(table, attribute, value, forbidden, as_so=as_so)
        if given.get(attribute, value) != value:
            raise Refusal(
                CKR.TEMPLATE_INCONSISTENT, f"CKA_{CKA(attribute).name} contradicts the mechanism"
            )
    attributes = {**wanted, **given}
    for attribute in table.noted[demanded]:
        if attribute not in attributes:
            raise Refusal(CKR.TEMPLATE_INCOMPLETE, f"CKA_{CKA(attribute).name} is missing")
    attributes = {**table.defaults, **attributes}
    attributes[CKA.UNIQUE_ID] = unique_id()
    _set_history(attributes, table, origin, mechanism)
    obj = Object(attributes, table)
    _require_whole(obj, CKR.TEMPLATE_INCOMPLETE)
    return obj


def amended(
    obj: Object, template: Template, *, copying: bool = False, as_so: bool = False
) -> dict[int, bytes]:
    """Give the attributes that an object has after a change (PKCS#11 3.2 §5.7.2, §5.7.6).

    With `copying` the object is a fresh copy, whose CKA_TOKEN, CKA_PRIVATE, CKA_MODIFIABLE and
    CKA_DESTROYABLE may be chosen anew, and the others told again. CKR_ATTRIBUTE_READ_ONLY for what
    may not be changed so: of a trusted certificate that is everything, whoever asks (§4.6.2).
    """
    wanted = collect(template)
    table = obj.table
    fresh = (CKA.TOKEN, CKA.PRIVATE, CKA.MODIFIABLE, CKA.DESTROYABLE) if copying else ()
    for attribute, value in wanted.items():
        _admit(table, attribute, value, Note.NONE, as_so=as_so)
        told_again = (
            (copying or attribute in _DERIVED or table[attribute].notes & Note.MODIFIABLE)
            and obj.attributes.get(attribute) == value
            and not obj.withholds(attribute)  # or it could be guessed
        )
        if not told_again and attribute not in fresh:
            _require_changeable(obj, attribute, value)
    changed = {**obj.attributes, **wanted}
    _require_whole(Object(changed, table), CKR.TEMPLATE_INCONSISTENT)
    if CKA.ALWAYS_SENSITIVE in changed and changed[CKA.SENSITIVE] != TRUE:
        changed[CKA.ALWAYS_SENSITIVE] = FALSE
    if CKA.NEVER_EXTRACTABLE in changed and changed[CKA.EXTRACTABLE] == TRUE:
        changed[CKA.NEVER_EXTRACTABLE] = FALSE
    return changed


def _require_changeable(obj: Object, attribute: int, value: bytes) -> None:
    """Refuse another value of an attribute that has to stay.

    CKR_ATTRIBUTE_VALUE_INVALID for a private key that shall tell of another public key (§4.10).
    A check value can be taken away, and not be replaced (§4.11.2).
    """
    if attribute == CKA.PUBLIC_KEY_INFO and obj.kind == CKO.PRIVATE_KEY:
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "CKA_PUBLIC_KEY_INFO is another key's")
    if attribute == CKA.CHECK_VALUE and obj.kind == CKO.SECRET_KEY and not value:
        return
    notes, old = obj.table[attribute].notes, obj.attributes.get(attribute)
    locked = (notes & Note.STAYS_TRUE and old == TRUE) or (
        notes & Note.STAYS_FALSE and old == FALSE
    )
    trusted = obj.kind == CKO.CERTIFICATE and obj.flag(CKA.TRUSTED)
    if locked or trusted or not notes & Note.MODIFIABLE:
        raise Refusal(CKR.ATTRIBUTE_READ_ONLY, f"CKA_{CKA(attribute).name} cannot become this")


def _admit(table: Table, attribute: int, value: bytes, forbidden: int, *, as_so: bool) -> None:
    rule = table.get(attribute)
    if rule is None:
        raise Refusal(
            CKR.TEMPLATE_INCONSISTENT, f"an object of this kind has no CKA_{CKA(attribute).name}"
        )
    if rule.notes & forbidden:
        raise Refusal(CKR.ATTRIBUTE_READ_ONLY, f"CKA_{CKA(attribute).name} is set by the key alone")
    if not rule.kind.fits(value):
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, f"not a {rule.kind.value}")
    if rule.notes & Note.SO_SETS_TRUE and value == TRUE and not as_so:
        raise Refusal(CKR.ATTRIBUTE_READ_ONLY, f"only the SO sets CKA_{CKA(attribute).name}")


def _require_whole(obj: Object, lacking: CKR) -> None:
    """Refuse what no single attribute tells: CKR_TEMPLATE_INCONSISTENT, or `lacking` (§4.7)."""
    if obj.flag(CKA.ALWAYS_AUTHENTICATE) and not obj.private:
        raise Refusal(CKR.TEMPLATE_INCONSISTENT, "CKA_ALWAYS_AUTHENTICATE needs CKA_PRIVATE")
    if obj.kind != CKO.TRUST or all(obj.attributes[use] in _DISTRUST for use in TRUSTS):
        return
    for attribute in (CKA.HASH_OF_CERTIFICATE, CKA.NAME_HASH_ALGORITHM):
        if not obj.attributes.get(attribute):
            raise Refusal(lacking, f"trust needs CKA_{attribute.name}")


def _set_history(
    attributes: dict[int, bytes], table: Table, origin: Origin, mechanism: int
) -> None:
    """Set what tells where a key comes from (PKCS#11 3.2 §4.7, §4.9, §4.10)."""
    born_here = origin is Origin.GENERATED
    if CKA.LOCAL in table:
        attributes[CKA.LOCAL] = boolean(born_here)
    if CKA.KEY_GEN_MECHANISM in table:
        attributes[CKA.KEY_GEN_MECHANISM] = number(mechanism if born_here else UNAVAILABLE)
    if CKA.ALWAYS_SENSITIVE in table:
        attributes[CKA.ALWAYS_SENSITIVE] = boolean(born_here and attributes[CKA.SENSITIVE] == TRUE)
        attributes[CKA.NEVER_EXTRACTABLE] = boolean(
            born_here and attributes[CKA.EXTRACTABLE] == FALSE
        )

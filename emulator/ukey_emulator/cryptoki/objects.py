"""Object management (PKCS#11 3.2 §5.7)."""

import itertools
import sys
from collections.abc import Iterator
from typing import Any

from ukey_emulator.chip import Refusal, Role, making
from ukey_emulator.chip.objects import Object
from ukey_emulator.chip.objects.kinds import number, pack_template, unpack_template
from ukey_emulator.terms import CKA, CKO, CKR

from .application import Application
from .operations import Operation, require_pointer
from .session import Session
from .wire import TEMPLATE_ATTRIBUTES, Attribute, Out, Query

_UNAVAILABLE = 0xFFFFFFFFFFFFFFFF
_ATTRIBUTE_BYTES = 24
Answer = tuple[int, Any]
_HIDDEN = number(CKO.HW_FEATURE)


def template_of(attributes: list[Attribute] | None) -> list[tuple[int, bytes | None]]:
    """Take a template off the wire; CKR_ARGUMENTS_BAD for a NULL one that claims attributes."""
    if attributes is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "the template is NULL")
    return [(attribute.type, _flat(attribute)) for attribute in attributes]


def _flat(attribute: Attribute) -> bytes | None:
    if isinstance(attribute.value, list):
        return pack_template((nested.type, _flat(nested) or b"") for nested in attribute.value)
    return attribute.value


def as_so(app: Application, session: Session) -> bool:
    """Tell whether the SO is logged in."""
    return app.role(session.chip) is Role.SO


def C_CreateObject(
    app: Application,
    session: Session,
    attributes: list[Attribute] | None,
    wanted: bool,
) -> int:
    """Create an object (PKCS#11 3.2 §5.7.1)."""
    template = template_of(attributes)
    require_pointer(wanted)
    obj = making.create(template, as_so=as_so(app, session))
    return app.place(session, obj)[0]


def C_CopyObject(
    app: Application,
    session: Session,
    original: int,
    attributes: list[Attribute] | None,
    wanted: bool,
) -> int:
    """Copy an object (PKCS#11 3.2 §5.7.2)."""
    template = template_of(attributes)
    obj = app.object(session, original)
    require_pointer(wanted)
    twin = making.copy(obj, template, as_so=as_so(app, session))
    return app.place(session, twin)[0]


def C_DestroyObject(app: Application, session: Session, number_: int) -> None:
    """Destroy an object (PKCS#11 3.2 §5.7.3)."""
    obj = app.object(session, number_)
    app.require_writable(session, obj)
    if not obj.flag(CKA.DESTROYABLE):
        raise Refusal(CKR.ACTION_PROHIBITED, "CKA_DESTROYABLE is false")
    app.remove(session, obj)


def C_GetObjectSize(app: Application, session: Session, number_: int, wanted: bool) -> int:
    """Tell how many bytes the attributes of an object take (PKCS#11 3.2 §5.7.4)."""
    obj = app.object(session, number_)
    require_pointer(wanted)
    return sum(len(value) for value in obj.attributes.values())


def C_GetAttributeValue(
    app: Application, session: Session, number_: int, queries: list[Query] | None
) -> list[Answer]:
    """Read attributes; each gets its value or its own fault (PKCS#11 3.2 §5.7.5)."""
    if queries is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "the template is NULL")
    obj = app.object(session, number_)
    seen = None
    while seen is not obj.attributes:  # or another program has changed them meanwhile
        seen = obj.attributes
        read = [_read(obj, query) for query in queries]
    answers = [answer for _, answer in read]
    for code, _ in read:
        if code is not None:
            raise Refusal(code, results=(answers,))
    return answers


def _read(obj: Object, query: Query) -> tuple[CKR | None, Answer]:
    value = obj.attributes.get(query.type)
    if obj.withholds(query.type):
        return CKR.ATTRIBUTE_SENSITIVE, (_UNAVAILABLE, None)
    if value is None:
        return CKR.ATTRIBUTE_TYPE_INVALID, (_UNAVAILABLE, None)
    return _fill(query.type, value, query)


def _fill(attribute: int, value: bytes, query: Query) -> tuple[CKR | None, Answer]:
    """Put a value into a buffer if it fits, or tell its length."""
    if attribute in TEMPLATE_ATTRIBUTES:
        return _fill_template(unpack_template(value), query)
    if query.capacity is None:
        return None, (len(value), None)
    if query.capacity < len(value):
        return CKR.BUFFER_TOO_SMALL, (_UNAVAILABLE, None)
    return None, (len(value), value)


def _fill_template(template: list[tuple[int, bytes]], query: Query) -> tuple[CKR | None, Answer]:
    """Put a template into an array of CK_ATTRIBUTE, whose own types mean nothing (§5.7.5)."""
    length = len(template) * _ATTRIBUTE_BYTES
    if query.capacity is None:
        return None, (length, None)
    # A buffer inside a template that the program did not say to be an array is of no use.
    if query.nested is None or len(query.nested) < len(template):
        return CKR.BUFFER_TOO_SMALL, (_UNAVAILABLE, None)
    answers: list[tuple[int, int, Any]] = []
    worst: CKR | None = None
    for inner, (attribute, value) in zip(query.nested, template, strict=False):
        code, (size, content) = _fill(attribute, value, inner)
        worst = worst or code
        answers.append((attribute, size, content))
    return worst, (length, answers)


def C_SetAttributeValue(
    app: Application, session: Session, number_: int, attributes: list[Attribute] | None
) -> None:
    """Change attributes, all or none (PKCS#11 3.2 §5.7.6)."""
    template = template_of(attributes)
    obj = app.object(session, number_)
    app.require_writable(session, obj)
    session.chip.change(obj, template, as_so=as_so(app, session))


def C_FindObjectsInit(
    app: Application, session: Session, attributes: list[Attribute] | None
) -> None:
    """Begin a search (PKCS#11 3.2 §5.7.7); it finds what there is at this moment."""
    wanted = {attribute: value or b"" for attribute, value in template_of(attributes)}
    session.require_free("search")
    found = app.find(session, wanted, hidden=wanted.get(CKA.CLASS) == _HIDDEN)
    session.operations["search"] = Operation(iter(found))


def C_FindObjects(app: Application, session: Session, out: Out) -> list[int]:
    """Give the next objects of a search (PKCS#11 3.2 §5.7.8)."""
    operation = session.operations.get("search")
    if operation is None:
        raise Refusal(CKR.OPERATION_NOT_INITIALIZED, "no search")
    if not out.asked or out.capacity is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "a pointer is NULL")
    found: Iterator[int] = operation.context  # type: ignore[assignment]
    return list(itertools.islice(found, min(out.capacity, sys.maxsize)))


def C_FindObjectsFinal(app: Application, session: Session) -> None:
    """End a search (PKCS#11 3.2 §5.7.9)."""
    if session.operations.pop("search", None) is None:
        raise Refusal(CKR.OPERATION_NOT_INITIALIZED, "no search")

"""Object management (§5.7)."""

from typing import Any

from .allowed import Allowed, granted, refused, require
from .attributes import (
    MODIFIABLE,
    NOT_SET_BY_PROGRAMS,
    STAYS,
    TRUSTED_FAULTS,
    WITHHELD,
    belongs,
    making_faults,
    new_attributes,
    value_faults,
)
from .state import Application, Object, Operation, Session, World
from .values import UNAVAILABLE, Cell, Handles, Null, Query, Reply, Template


def place_faults(app: Application, session: Session, values: dict[str, Any]) -> set[str]:
    """Tell whether a session may make such an object (§4.4).

    Token objects want a R/W session, private ones the user.
    """
    faults = set()
    if values.get("TOKEN") is True and not session.writable:
        faults.add("SESSION_READ_ONLY")
    if values.get("PRIVATE") is True and app.login != "USER":
        faults.add("USER_NOT_LOGGED_IN")
    return faults


def put(world: World, app: Application, session: Session, handle: int, obj: Object) -> None:
    """Put a new object where its template wants it."""
    require(handle != 0 and handle not in app.handles, "handle", handle)
    if not obj.flag("TOKEN"):
        obj.session = session
    world.add(app, handle, obj)


def create_object(
    world: World, app: Application, handle: int, template: Template, cell: Cell
) -> Allowed:
    """C_CreateObject (§5.7.1): a key brought in is neither local nor always sensitive."""
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    faults = making_faults(template, "create", {}, so=app.login == "SO")
    faults |= place_faults(app, session, template.values)
    if not cell.asked:
        faults.add("ARGUMENTS_BAD")

    def follow(reply: Reply) -> None:
        attributes = new_attributes(template, {}, local=False)
        secret: Any = attributes.get("VALUE")
        if obj_pair := {"RSA": "rsa", "EC": "ec"}.get(attributes.get("KEY_TYPE", "")):
            secret = obj_pair
        put(world, app, session, reply.written[0], Object(attributes, secret=secret))

    return granted(follow, faults=faults)


def changing_faults(
    obj: Object, template: Template, *, copying: bool, so: bool
) -> tuple[set[str], set[str]]:
    """Tell what is wrong with changing an object so (§4.1.2, §4.1.3, footnotes 8, 10 to 12).

    The second set may come as well: an attribute that cannot be changed, and is given the value
    that it has, need not be refused.
    """
    faults, optional = value_faults(template), set()
    fresh = {"TOKEN", "PRIVATE", "MODIFIABLE", "DESTROYABLE"} if copying else set()
    own = belongs(obj.attributes) or set()
    refusal = {"ATTRIBUTE_READ_ONLY", *(["TEMPLATE_INCONSISTENT"] if copying else [])}
    for name, value in template.pairs:
        if name == "BOGUS":
            continue
        if name not in own:
            faults |= NOT_SET_BY_PROGRAMS
            continue
        old = obj.attributes.get(name)
        locked = name in STAYS and old is STAYS[name]
        if (locked or name not in MODIFIABLE | fresh) and old == value:
            optional |= refusal
        elif locked or name not in MODIFIABLE | fresh:
            faults |= refusal
        if name == "TRUSTED" and value is True and not so:
            faults |= TRUSTED_FAULTS
    return faults, optional


def changed(obj: Object, template: Template) -> dict[str, Any]:
    """Return the attributes after a change: what was always so is so no more (§4.9)."""
    values = {**obj.attributes, **template.values}
    if "SENSITIVE" in values:
        values["ALWAYS_SENSITIVE"] = values["ALWAYS_SENSITIVE"] and values["SENSITIVE"]
        values["NEVER_EXTRACTABLE"] = values["NEVER_EXTRACTABLE"] and not values["EXTRACTABLE"]
    return values


def copy_object(
    world: World, app: Application, handle: int, original: int, template: Template, cell: Cell
) -> Allowed:
    """C_CopyObject (§5.7.2): with a template of changes, if CKA_COPYABLE is true.

    A token may refuse that a copy of a private object is public (§4.1.3: what is incompatible with
    other attributes of the object).
    """
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    faults = set() if cell.asked else {"ARGUMENTS_BAD"}
    obj = app.object(original)
    if obj is None:
        return refused("OBJECT_HANDLE_INVALID", *faults)
    wrong, optional = changing_faults(obj, template, copying=True, so=app.login == "SO")
    faults |= wrong
    values = changed(obj, template)
    faults |= place_faults(app, session, values)
    if not obj.flag("COPYABLE"):
        faults.add("ACTION_PROHIBITED")
    if values.get("ALWAYS_AUTHENTICATE") is True and values["PRIVATE"] is not True:
        faults.add("TEMPLATE_INCONSISTENT")
    if obj.private and values["PRIVATE"] is False:
        optional |= {"TEMPLATE_INCONSISTENT", "ATTRIBUTE_READ_ONLY"}

    def follow(reply: Reply) -> None:
        put(world, app, session, reply.written[0], Object(values, secret=obj.secret))

    return Allowed(faults | optional, None if faults else follow)


def destroy_object(world: World, app: Application, handle: int, number: int) -> Allowed:
    """C_DestroyObject (§5.7.3), if CKA_DESTROYABLE is true."""
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    obj = app.object(number)
    if obj is None:
        return refused("OBJECT_HANDLE_INVALID")
    faults = place_faults(app, session, obj.attributes)
    if not obj.flag("DESTROYABLE"):
        faults.add("ACTION_PROHIBITED")
    return granted(lambda _: world.remove(obj), faults=faults)


def get_object_size(
    world: World, app: Application, handle: int, number: int, cell: Cell
) -> Allowed:
    """C_GetObjectSize (§5.7.4): the number is the token's own affair; it may be kept secret."""
    del world
    if handle not in app.sessions:
        return refused("SESSION_HANDLE_INVALID")
    faults = set() if cell.asked else {"ARGUMENTS_BAD"}
    if app.object(number) is None:
        return refused("OBJECT_HANDLE_INVALID", *faults)
    if faults:
        return refused(*faults)
    return Allowed({"INFORMATION_SENSITIVE"}, lambda _: None)


def get_attribute_value(
    world: World, app: Application, handle: int, number: int, query: Query
) -> Allowed:
    """C_GetAttributeValue (§5.7.5): each attribute has its value or CK_UNAVAILABLE_INFORMATION.

    Any of the codes that apply to some attribute; the others are filled in nevertheless. A value
    that the model does not know yet is learnt.
    """
    del world
    if handle not in app.sessions:
        return refused("SESSION_HANDLE_INVALID")
    obj = app.object(number)
    if obj is None:
        return refused("OBJECT_HANDLE_INVALID")
    fates = [_fate(obj, name, room) for name, room in query.kinds]
    faults = {fate for fate in fates if fate not in {"OK", "?"}}

    def follow(reply: Reply) -> None:
        for (name, room), fate, (length, value) in zip(
            query.kinds, fates, reply.written[0], strict=True
        ):
            if fate == "?":
                continue
            if fate != "OK":
                require(length == UNAVAILABLE, "length", f"CKA_{name}: {length}, not -1")
                continue
            known = obj.attributes.get(name)
            if room is not None:
                require(known == value, "value", f"CKA_{name} is {value!r}, not {known!r}")
                require(length == _size(known), "length", f"CKA_{name}: {length}")
            else:
                require(length == _size(known), "length", f"CKA_{name}: {length}")

    optional = {"BUFFER_TOO_SMALL", "ATTRIBUTE_TYPE_INVALID"} if "?" in fates else set()
    return Allowed(faults | optional, None if faults else follow, follow)


def _fate(obj: Object, name: str, room: int | None) -> str:
    """Tell what becomes of one attribute: a code, OK, or ? where the model cannot know."""
    if name not in (belongs(obj.attributes) or set()) | {"UNIQUE_ID"}:
        return "ATTRIBUTE_TYPE_INVALID"
    if (obj.kind, name) in WITHHELD and (obj.flag("SENSITIVE") or not obj.flag("EXTRACTABLE")):
        return "ATTRIBUTE_SENSITIVE"
    if name not in obj.attributes:
        return "?"
    if room is not None and room < _size(obj.attributes[name]):
        return "BUFFER_TOO_SMALL"
    return "OK"


def _size(value: object) -> int:
    if isinstance(value, bool):
        return 1
    return len(value) if isinstance(value, bytes) else 8


def set_attribute_value(
    world: World, app: Application, handle: int, number: int, template: Template
) -> Allowed:
    """C_SetAttributeValue (§5.7.6): all of the template or nothing of it.

    CKR_ACTION_PROHIBITED where CKA_MODIFIABLE is false.
    """
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    obj = app.object(number)
    if obj is None:
        return refused("OBJECT_HANDLE_INVALID")
    faults, optional = changing_faults(obj, template, copying=False, so=app.login == "SO")
    faults |= place_faults(app, session, obj.attributes)
    if not obj.flag("MODIFIABLE"):
        faults.add("ACTION_PROHIBITED")

    def follow(reply: Reply) -> None:
        del reply
        obj.attributes = changed(obj, template)
        world.changes += 1

    return Allowed(faults | optional, None if faults else follow)


def matches(obj: Object, wanted: dict[str, Any]) -> bool:
    """Tell whether an object has exactly these attributes (§5.7.7); a secret one never matches."""
    return all(
        obj.attributes.get(name) == value and _fate(obj, name, None) == "OK"
        for name, value in wanted.items()
    )


def find_objects_init(world: World, app: Application, handle: int, template: Template) -> Allowed:
    """C_FindObjectsInit (§5.7.7): an attribute that does not exist finds nothing, or is refused.

    Other active operations may stand in the way of a search (§5.1.6, CKR_OPERATION_ACTIVE).
    """
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    if "find" in session.operations:
        return refused("OPERATION_ACTIVE")
    optional = {"OPERATION_ACTIVE"} if session.operations else set()
    if "BOGUS" in template.values:
        optional.add("ATTRIBUTE_TYPE_INVALID")

    def follow(reply: Reply) -> None:
        del reply
        found = [obj for obj in world.visible(app) if matches(obj, template.values)]
        session.operations["find"] = Operation(template.values, found=found, age=world.changes)

    return Allowed(optional, follow)


def find_objects(world: World, app: Application, handle: int, room: Handles | Null) -> Allowed:
    """C_FindObjects (§5.7.8): the next ones, each once, as many as there is room for.

    What was made, changed or taken away since the search began may show or not.
    """
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    search = session.operations.get("find")
    faults = set() if search else {"OPERATION_NOT_INITIALIZED"}
    if isinstance(room, Null):
        faults.add("ARGUMENTS_BAD")
    if faults or search is None:
        return refused(*faults)
    steady = search.age == world.changes

    def follow(reply: Reply) -> None:
        handles = reply.written[0]
        require(len(handles) == len(set(handles)), "twice", handles)
        known = [each for each in handles if app.handles.get(each) in search.found]
        if steady:
            new = [o for o in search.found if app.handle_of(o) is None]
            require(len(handles) - len(known) <= len(new), "found", f"{handles}: not all match")
            require(len(handles) == min(room.room, len(search.found)), "count", len(handles))
        for each in known:
            search.found.remove(app.handles[each])
        if len(known) < len(handles):  # found by handles that the model has not learnt yet
            search.age = -1

    return granted(follow)


def find_objects_final(world: World, app: Application, handle: int) -> Allowed:
    """C_FindObjectsFinal (§5.7.9)."""
    del world
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    if "find" not in session.operations:
        return refused("OPERATION_NOT_INITIALIZED")
    return granted(lambda _: session.operations.pop("find"))


CHAPTER = {
    "CreateObject": create_object,
    "CopyObject": copy_object,
    "DestroyObject": destroy_object,
    "GetObjectSize": get_object_size,
    "GetAttributeValue": get_attribute_value,
    "SetAttributeValue": set_attribute_value,
    "FindObjectsInit": find_objects_init,
    "FindObjects": find_objects,
    "FindObjectsFinal": find_objects_final,
}

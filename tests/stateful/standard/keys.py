"""Key management (§5.18): generation, wrapping, unwrapping, derivation."""

from typing import Any

from . import algorithms
from .allowed import Allowed, granted, length_suffices, refused, require
from .attributes import making_faults, new_attributes
from .objects import place_faults, put
from .operations import mechanism_faults
from .sessions import key_of
from .state import Application, Object, World
from .values import Cell, Ecdh, Mech, Null, Out, Reply, Template

GENERATE, GENERATE_PAIR, WRAP, UNWRAP, DERIVE = 0x8000, 0x10000, 0x20000, 0x40000, 0x80000
_MADE = {"AES_KEY_GEN": "AES", "GENERIC_SECRET_KEY_GEN": "GENERIC_SECRET"}
_AES_SIZES = (16, 24, 32)
_SIZE_FAULTS = {"ATTRIBUTE_VALUE_INVALID", "KEY_SIZE_RANGE", "TEMPLATE_INCONSISTENT"}


def generate_key(
    world: World, app: Application, handle: int, mechanism: Mech, template: Template, cell: Cell
) -> Allowed:
    """C_GenerateKey (§5.18.1): the key is local, and was always as secret as it is now."""
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    faults = mechanism_faults(world, GENERATE, mechanism)
    if not cell.asked:
        faults.add("ARGUMENTS_BAD")
    made = _MADE.get(mechanism.name)
    if made is None:
        return refused(*faults)
    given = {"CLASS": "SECRET_KEY", "KEY_TYPE": made}
    faults |= making_faults(template, "generate", given, so=app.login == "SO")
    faults |= place_faults(app, session, template.values)
    length = template.values.get("VALUE_LEN")
    if made == "AES" and length is not None and length not in _AES_SIZES:
        faults |= _SIZE_FAULTS

    def follow(reply: Reply) -> None:
        obj = Object(new_attributes(template, given, local=True))
        put(world, app, session, reply.written[0], obj)

    return granted(follow, faults=faults)


def generate_key_pair(
    world: World,
    app: Application,
    handle: int,
    mechanism: Mech,
    public: Template,
    private: Template,
    first: Cell,
    second: Cell,
) -> Allowed:
    """C_GenerateKeyPair (§5.18.2): both keys or none."""
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    faults = mechanism_faults(world, GENERATE_PAIR, mechanism)
    if not (first.asked and second.asked):
        faults.add("ARGUMENTS_BAD")
    sides = []
    for template, kind in ((public, "PUBLIC_KEY"), (private, "PRIVATE_KEY")):
        given = {"CLASS": kind, "KEY_TYPE": "EC"}
        faults |= making_faults(template, "generate", given, so=app.login == "SO")
        faults |= place_faults(app, session, template.values)
        sides.append((template, given))

    def follow(reply: Reply) -> None:
        for number, (template, given) in zip(reply.written, sides, strict=True):
            obj = Object(new_attributes(template, given, local=True))
            put(world, app, session, number, obj)

    return granted(follow, faults=faults)


def wrap_key(  # noqa: C901 - each fault in a line
    world: World, app: Application, handle: int, mechanism: Mech, wrapping: int, key: int, out: Out
) -> Allowed:
    """C_WrapKey (§5.18.3): with a key that may wrap, of one that may leave the token.

    CKA_WRAP_WITH_TRUSTED wants a wrapping key with CKA_TRUSTED, which none here has.
    """
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    faults = mechanism_faults(world, WRAP, mechanism)
    wrapper, inner = key_of(app, wrapping), key_of(app, key)
    if wrapper is None:
        faults.add("WRAPPING_KEY_HANDLE_INVALID")
    elif wrapper.key_type != "AES":
        faults |= {"WRAPPING_KEY_TYPE_INCONSISTENT"}
    elif not wrapper.flag("WRAP"):
        faults.add("KEY_FUNCTION_NOT_PERMITTED")
    if inner is None:
        faults.add("KEY_HANDLE_INVALID")
    else:
        faults |= _leaving_faults(inner, wrapper)
    if not out.asked:
        faults.add("ARGUMENTS_BAD")
    if faults or wrapper is None or inner is None:
        return refused(*faults)
    result = algorithms.wrap(wrapper, inner)
    length = result.length
    if length is None:
        # A private key, of a length that only the token knows.
        unknown = {"KEY_NOT_WRAPPABLE", "KEY_SIZE_RANGE", "BUFFER_TOO_SMALL"}
        return Allowed(unknown, lambda _: None)
    if out.capacity is None:
        return granted(lambda reply: length_suffices(reply.written[-1][0], length))

    def short(reply: Reply) -> None:
        require(reply.written[-1][0] == length, "length", reply.written[-1][0])

    if out.capacity < length:
        return Allowed({"BUFFER_TOO_SMALL"}, None, short)
    return granted(lambda reply: require(result.accepts(reply.written[-1][1]), "data"))


def _leaving_faults(key: Object, wrapper: Object | None) -> set[str]:
    faults = set()
    if key.kind == "PUBLIC_KEY":
        return {"KEY_NOT_WRAPPABLE", "KEY_HANDLE_INVALID", "KEY_UNEXTRACTABLE"}
    if not key.flag("EXTRACTABLE"):
        faults.add("KEY_UNEXTRACTABLE")
    if key.flag("WRAP_WITH_TRUSTED") and not (wrapper and wrapper.flag("TRUSTED")):
        faults.add("KEY_NOT_WRAPPABLE")
    if key.attributes.get("VALUE_LEN", 16) % 8:
        faults |= {"KEY_NOT_WRAPPABLE", "KEY_SIZE_RANGE"}
    return faults


def unwrap_key(
    world: World,
    app: Application,
    handle: int,
    mechanism: Mech,
    unwrapping: int,
    wrapped: Any,
    template: Template,
    cell: Cell,
) -> Allowed:
    """C_UnwrapKey (§5.18.4): the new key is not local and was not always secret."""
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    faults = mechanism_faults(world, UNWRAP, mechanism)
    opener = key_of(app, unwrapping)
    if opener is None:
        faults.add("UNWRAPPING_KEY_HANDLE_INVALID")
    elif opener.key_type != "AES":
        faults.add("UNWRAPPING_KEY_TYPE_INCONSISTENT")
    elif not opener.flag("UNWRAP"):
        faults.add("KEY_FUNCTION_NOT_PERMITTED")
    if isinstance(wrapped, Null) or not cell.asked:
        faults.add("ARGUMENTS_BAD")
    faults |= making_faults(template, "unwrap", {}, so=app.login == "SO")
    faults |= place_faults(app, session, template.values)
    value: bytes | None = None
    if isinstance(wrapped, bytes):
        bad, value = _unwrapped(opener, wrapped, template)
        faults |= bad

    def follow(reply: Reply) -> None:
        attributes = new_attributes(template, {}, local=False)
        if value is not None:
            attributes |= {"VALUE": value, "VALUE_LEN": len(value)}
        put(world, app, session, reply.written[0], Object(attributes, secret=value))

    return granted(follow, faults=faults)


def _unwrapped(
    opener: Object | None, wrapped: bytes, template: Template
) -> tuple[set[str], bytes | None]:
    if len(wrapped) % 8 or len(wrapped) < 24:
        return {"WRAPPED_KEY_LEN_RANGE", "WRAPPED_KEY_INVALID"}, None
    if opener is None or opener.key_type != "AES":
        return set(), None
    if not isinstance(opener.secret, bytes):
        return {"WRAPPED_KEY_INVALID"}, None  # wrapped by a key that is not this one
    value = algorithms.unwrap(opener, wrapped)
    if value is None:
        return {"WRAPPED_KEY_INVALID"}, None
    if template.values.get("KEY_TYPE") == "AES" and len(value) not in _AES_SIZES:
        return {"WRAPPED_KEY_INVALID", "WRAPPED_KEY_LEN_RANGE"}, None
    return set(), value


def derive_key(
    world: World,
    app: Application,
    handle: int,
    mechanism: Ecdh,
    base: int,
    template: Template,
    cell: Cell,
) -> Allowed:
    """C_DeriveKey (§5.18.5) by ECDH (§6.3.20): of a key with CKA_DERIVE.

    CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE are true only where they are of the base key, and
    the new key is so as well. That the class is missing may be a fault: the mechanism makes no
    other one.
    """
    session = app.sessions.get(handle)
    if session is None:
        return refused("SESSION_HANDLE_INVALID")
    given = {} if "CLASS" in template.values else {"CLASS": "SECRET_KEY"}
    optional = {"TEMPLATE_INCOMPLETE"} if given else set()
    faults = mechanism_faults(world, DERIVE, mechanism)
    key = key_of(app, base)
    if key is None:
        faults.add("KEY_HANDLE_INVALID")
    elif key.key_type != "EC":
        faults.add("KEY_TYPE_INCONSISTENT")
    elif key.kind != "PRIVATE_KEY":
        faults |= {"KEY_TYPE_INCONSISTENT", "KEY_FUNCTION_NOT_PERMITTED", "KEY_HANDLE_INVALID"}
    elif not key.flag("DERIVE"):
        faults.add("KEY_FUNCTION_NOT_PERMITTED")
    if not cell.asked:
        faults.add("ARGUMENTS_BAD")
    faults |= making_faults(template, "derive", given, so=app.login == "SO")
    faults |= place_faults(app, session, template.values)

    def follow(reply: Reply) -> None:
        attributes = new_attributes(template, given, local=False)
        if key is not None:
            attributes["ALWAYS_SENSITIVE"] = (
                key.flag("ALWAYS_SENSITIVE") and attributes["SENSITIVE"]
            )
            attributes["NEVER_EXTRACTABLE"] = (
                key.flag("NEVER_EXTRACTABLE") and not attributes["EXTRACTABLE"]
            )
        value = None
        if key is not None and key.secret == "ec":
            # The leading bytes are taken off for a shorter key (§6.3.20).
            value = algorithms.agree(mechanism.point)[-template.values["VALUE_LEN"] :]
            attributes["VALUE"] = value
        put(world, app, session, reply.written[0], Object(attributes, secret=value))

    return Allowed(faults | optional, None if faults else follow)


CHAPTER = {
    "GenerateKey": generate_key,
    "GenerateKeyPair": generate_key_pair,
    "WrapKey": wrap_key,
    "UnwrapKey": unwrap_key,
    "DeriveKey": derive_key,
}

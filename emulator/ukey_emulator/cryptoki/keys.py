"""Key management (PKCS#11 3.2 §5.18)."""

from ukey_emulator.chip import Refusal, making
from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.mechanisms import Mechanism, Parameter
from ukey_emulator.terms import CKA, CKF, CKR

from . import wire
from .application import Application
from .message import fits
from .objects import as_so, template_of
from .operations import require_data, require_pointer
from .session import Session
from .use import KeyFaults, find, key_for, parameter_of, require_size
from .wire import MESSAGES, Attribute, Out

_WRAPPING = KeyFaults(
    CKR.WRAPPING_KEY_HANDLE_INVALID,
    CKR.WRAPPING_KEY_TYPE_INCONSISTENT,
    CKR.WRAPPING_KEY_SIZE_RANGE,
)
_MESSAGES = {layout.name for layout in MESSAGES.values()}
UNWRAPPING = KeyFaults(
    CKR.UNWRAPPING_KEY_HANDLE_INVALID,
    CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT,
    CKR.UNWRAPPING_KEY_SIZE_RANGE,
)


def C_GenerateKey(
    app: Application,
    session: Session,
    mechanism: wire.Mechanism | None,
    attributes: list[Attribute] | None,
    wanted: bool,
) -> int:
    """Make a secret key or domain parameters (PKCS#11 3.2 §5.18.1)."""
    given = given_mechanism(mechanism)
    template = template_of(attributes)
    require_pointer(wanted)
    found = find(session, given, CKF.GENERATE)
    if found.limited:
        require_size(found, dict(template), CKR.ATTRIBUTE_VALUE_INVALID)
    obj = making.generate(given.type, parameter_of(given), template, as_so=as_so(app, session))
    return app.place(session, obj)[0]


def C_GenerateKeyPair(
    app: Application,
    session: Session,
    mechanism: wire.Mechanism | None,
    public: list[Attribute] | None,
    private: list[Attribute] | None,
    public_wanted: bool,
    private_wanted: bool,
) -> tuple[int, int]:
    """Make a key pair (PKCS#11 3.2 §5.18.2)."""
    given = given_mechanism(mechanism)
    templates = template_of(public), template_of(private)
    require_pointer(public_wanted and private_wanted)
    found = find(session, given, CKF.GENERATE_KEY_PAIR)
    if found.limited:
        require_size(found, dict(templates[0]), CKR.ATTRIBUTE_VALUE_INVALID)
    pair = making.generate_pair(
        given.type, parameter_of(given), *templates, as_so=as_so(app, session)
    )
    first, second = app.place(session, *pair)
    return first, second


def C_WrapKey(
    app: Application,
    session: Session,
    mechanism: wire.Mechanism | None,
    wrapping: int,
    key: int,
    out: Out,
) -> tuple[bytes | None, bytes | int]:
    """Wrap a key (PKCS#11 3.2 §5.18.3); what the key made of the IV goes into the parameter."""
    given = given_mechanism(mechanism)
    found, material, data = _to_wrap(app, session, given, wrapping, key)
    nonce, wrapped = found.wrap_with_nonce(material, data, parameter_of(given))
    if not fits(out, len(wrapped), heads=1):
        return None, len(wrapped)
    return nonce, wrapped


def C_WrapKeyAuthenticated(
    app: Application,
    session: Session,
    mechanism: wire.Mechanism | None,
    wrapping: int,
    key: int,
    extra: bytes | None,
    out: Out,
) -> tuple[tuple[bytes | None, bytes | None] | None, bytes | int]:
    """Wrap a key with associated data; the tag goes into the parameter (§5.18.6)."""
    given = given_mechanism(mechanism)
    found, material, data = _to_wrap(app, session, given, wrapping, key)
    fields = _message_of(given)
    nonce, tag, wrapped = found.wrap_sealed(material, data, fields, require_data(extra))
    if not fits(out, len(wrapped), heads=1):
        return None, len(wrapped)
    return (nonce, tag), wrapped


def _to_wrap(
    app: Application, session: Session, given: wire.Mechanism, wrapping: int, key: int
) -> tuple[Mechanism, Material, bytes]:
    """Find the mechanism, the wrapping key and the bytes to be wrapped."""
    found = find(session, given, CKF.WRAP)
    wrapping_key, material = key_for(app, session, found, wrapping, CKA.WRAP, _WRAPPING)
    obj = app.object(session, key, CKR.KEY_HANDLE_INVALID)
    if obj.key_type is None:
        raise Refusal(CKR.KEY_HANDLE_INVALID, "the object is no key")
    return found, material, making.to_wrap(obj, wrapping_key)


def C_UnwrapKey(
    app: Application,
    session: Session,
    mechanism: wire.Mechanism | None,
    unwrapping: int,
    wrapped: bytes | None,
    attributes: list[Attribute] | None,
    wanted: bool,
) -> int:
    """Unwrap a key (PKCS#11 3.2 §5.18.4)."""
    given = given_mechanism(mechanism)
    template = template_of(attributes)
    require_pointer(wanted)
    found = find(session, given, CKF.UNWRAP)
    unwrapping_key, material = key_for(app, session, found, unwrapping, CKA.UNWRAP, UNWRAPPING)
    clear = found.unwrap(material, require_data(wrapped), parameter_of(given))
    obj = making.unwrap(found, clear, unwrapping_key, template, as_so=as_so(app, session))
    return app.place(session, obj)[0]


def C_UnwrapKeyAuthenticated(
    app: Application,
    session: Session,
    mechanism: wire.Mechanism | None,
    unwrapping: int,
    wrapped: bytes | None,
    attributes: list[Attribute] | None,
    extra: bytes | None,
    wanted: bool,
) -> int:
    """Unwrap a key with associated data (PKCS#11 3.2 §5.18.7)."""
    given = given_mechanism(mechanism)
    template = template_of(attributes)
    require_pointer(wanted)
    found = find(session, given, CKF.UNWRAP)
    unwrapping_key, material = key_for(app, session, found, unwrapping, CKA.UNWRAP, UNWRAPPING)
    fields, data = _message_of(given), require_data(wrapped)
    clear = found.unwrap_sealed(material, data, fields, require_data(extra))
    obj = making.unwrap(found, clear, unwrapping_key, template, as_so=as_so(app, session))
    return app.place(session, obj)[0]


def _message_of(given: wire.Mechanism) -> Parameter:
    """Take a message's parameter, which authenticated wrapping has (§6.13.4)."""
    parameter = given.parameter
    if not isinstance(parameter, wire.Parameter) or parameter.layout not in _MESSAGES:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, "no parameter of a message")
    return parameter.fields


def C_DeriveKey(
    app: Application,
    session: Session,
    mechanism: wire.Mechanism | None,
    base: int,
    attributes: list[Attribute] | None,
    wanted: bool,
) -> int:
    """Derive a key from another (PKCS#11 3.2 §5.18.5)."""
    given = given_mechanism(mechanism)
    template = template_of(attributes)
    require_pointer(wanted)
    found = find(session, given, CKF.DERIVE)
    base_key, _ = key_for(app, session, found, base, CKA.DERIVE)
    parameter = parameter_of(given)
    others = tuple(
        key_for(app, session, found, other, CKA.DERIVE)[0] for other in found.handles(parameter)
    )
    obj = making.derive(
        given.type, parameter, base_key, others, template, as_so=as_so(app, session)
    )
    return app.place(session, obj)[0]


def given_mechanism(mechanism: wire.Mechanism | None) -> wire.Mechanism:
    """Give the mechanism that came; CKR_ARGUMENTS_BAD if none did."""
    if mechanism is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "the mechanism is NULL")
    return mechanism

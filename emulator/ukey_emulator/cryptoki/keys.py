"""Key management (PKCS#11 3.2 §5.18)."""

from ukey_emulator.chip import Refusal, making
from ukey_emulator.terms import CKA, CKF, CKR

from . import wire
from .application import Application
from .objects import as_so, template_of
from .operations import Operation, deliver, require_data, require_pointer
from .session import Session
from .use import KeyFaults, find, key_for, parameter_of
from .wire import Attribute, Out

_WRAPPING = KeyFaults(CKR.WRAPPING_KEY_HANDLE_INVALID, CKR.WRAPPING_KEY_TYPE_INCONSISTENT)
_UNWRAPPING = KeyFaults(CKR.UNWRAPPING_KEY_HANDLE_INVALID, CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT)


def C_GenerateKey(
    app: Application,
    session: Session,
    mechanism: wire.Mechanism | None,
    attributes: list[Attribute] | None,
    wanted: bool,
) -> int:
    """Make a secret key (PKCS#11 3.2 §5.18.1)."""
    given = _given(mechanism)
    template = template_of(attributes)
    require_pointer(wanted)
    find(given, CKF.GENERATE)
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
    given = _given(mechanism)
    templates = template_of(public), template_of(private)
    require_pointer(public_wanted and private_wanted)
    find(given, CKF.GENERATE_KEY_PAIR)
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
) -> bytes | int:
    """Wrap a key (PKCS#11 3.2 §5.18.3)."""
    given = _given(mechanism)
    found = find(given, CKF.WRAP)
    wrapping_key, material = key_for(app, session, found, wrapping, CKA.WRAP, _WRAPPING)
    data = making.to_wrap(app.object(session, key, CKR.KEY_HANDLE_INVALID), wrapping_key)
    wrapped = found.wrap(material, data, parameter_of(given))
    return deliver(out, len(wrapped), Operation(None), lambda: wrapped)


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
    given = _given(mechanism)
    template = template_of(attributes)
    require_pointer(wanted)
    found = find(given, CKF.UNWRAP)
    unwrapping_key, material = key_for(app, session, found, unwrapping, CKA.UNWRAP, _UNWRAPPING)
    clear = found.unwrap(material, require_data(wrapped), parameter_of(given))
    obj = making.unwrap(clear, unwrapping_key, template, fill=found.fill, as_so=as_so(app, session))
    return app.place(session, obj)[0]


def C_DeriveKey(
    app: Application,
    session: Session,
    mechanism: wire.Mechanism | None,
    base: int,
    attributes: list[Attribute] | None,
    wanted: bool,
) -> int:
    """Derive a key from another (PKCS#11 3.2 §5.18.5)."""
    given = _given(mechanism)
    template = template_of(attributes)
    require_pointer(wanted)
    found = find(given, CKF.DERIVE)
    base_key, _ = key_for(app, session, found, base, CKA.DERIVE)
    parameter = parameter_of(given)
    others = tuple(
        key_for(app, session, found, other, CKA.DERIVE)[0] for other in found.handles(parameter)
    )
    obj = making.derive(
        given.type, parameter, base_key, others, template, as_so=as_so(app, session)
    )
    return app.place(session, obj)[0]


def _given(mechanism: wire.Mechanism | None) -> wire.Mechanism:
    if mechanism is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "the mechanism is NULL")
    return mechanism

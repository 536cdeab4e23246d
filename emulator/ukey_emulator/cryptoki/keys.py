"""Key management (PKCS#11 3.2 §5.18)."""

from ukey_emulator.chip import Refusal
from ukey_emulator.terms import CKF, CKR

from . import wire
from .application import Application, Session
from .objects import as_so, template_of
from .operations import require_pointer
from .use import find, parameter_of
from .wire import Attribute


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
    obj = session.chip.generate(
        given.type, parameter_of(given), template, as_so=as_so(app, session)
    )
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
    pair = session.chip.generate_pair(
        given.type, parameter_of(given), *templates, as_so=as_so(app, session)
    )
    first, second = app.place(session, *pair)
    return first, second


def _given(mechanism: wire.Mechanism | None) -> wire.Mechanism:
    if mechanism is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "the mechanism is NULL")
    return mechanism

"""Encapsulation of keys (PKCS#11 3.2 §5.18.8, §5.18.9)."""

from ukey_emulator.chip import making
from ukey_emulator.terms import CKA, CKF

from . import wire
from .application import Application
from .keys import UNWRAPPING, given_mechanism
from .message import fits
from .objects import as_so, template_of
from .operations import require_data, require_pointer
from .session import Session
from .use import find, key_for, parameter_of
from .wire import Attribute, Out


def C_EncapsulateKey(
    app: Application,
    session: Session,
    mechanism: wire.Mechanism | None,
    public_key: int,
    attributes: list[Attribute] | None,
    out: Out,
    wanted: bool,
) -> tuple[bytes | int, int | None]:
    """Make a secret key, and the ciphertext that brings it to the owner of a public key.

    No key is made while only the length of the ciphertext is asked, or the buffer is too short.
    """
    given = given_mechanism(mechanism)
    template = template_of(attributes)
    found = find(session, given, CKF.ENCAPSULATE)
    owner, material = key_for(app, session, found, public_key, CKA.ENCAPSULATE)
    length = found.ciphertext_length(material)
    if not fits(out, length, tails=1):
        return length, None
    require_pointer(wanted)
    parameter = parameter_of(given)
    ciphertext = b""

    def produce(size: int | None) -> bytes:
        nonlocal ciphertext
        secret, ciphertext = found.encapsulate(material, parameter, size)
        return secret

    obj = making.from_secret(
        owner, CKA.ENCAPSULATE_TEMPLATE, template, produce, as_so=as_so(app, session)
    )
    return ciphertext, app.place(session, obj)[0]


def C_DecapsulateKey(
    app: Application,
    session: Session,
    mechanism: wire.Mechanism | None,
    private_key: int,
    attributes: list[Attribute] | None,
    ciphertext: bytes | None,
    wanted: bool,
) -> int:
    """Make the secret key that a ciphertext brings."""
    given = given_mechanism(mechanism)
    template = template_of(attributes)
    require_pointer(wanted)
    found = find(session, given, CKF.DECAPSULATE)
    owner, material = key_for(app, session, found, private_key, CKA.DECAPSULATE, UNWRAPPING)
    data, parameter = require_data(ciphertext), parameter_of(given)
    obj = making.from_secret(
        owner,
        CKA.DECAPSULATE_TEMPLATE,
        template,
        lambda size: found.decapsulate(material, parameter, data, size),
        as_so=as_so(app, session),
    )
    return app.place(session, obj)[0]

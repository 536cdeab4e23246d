"""Message digests (PKCS#11 3.2 §5.12)."""

from typing import cast

from ukey_emulator.chip import Refusal
from ukey_emulator.chip.mechanisms import Digester
from ukey_emulator.terms import CKA, CKF, CKO, CKR

from . import wire
from .application import Application
from .operations import Operation, deliver, require_data
from .session import Session
from .use import find, parameter_of
from .wire import Out

Output = bytes | int | None


def C_DigestInit(app: Application, session: Session, mechanism: wire.Mechanism | None) -> None:
    """Begin a digest (PKCS#11 3.2 §5.12.1)."""
    if mechanism is None:
        session.end("digest")
        return
    session.require_free("digest")
    context = find(session, mechanism, CKF.DIGEST).digest(parameter_of(mechanism))
    session.operations["digest"] = Operation(context, mechanism=mechanism.type)


def C_Digest(app: Application, session: Session, data: bytes | None, out: Out) -> Output:
    """Digest in one part (PKCS#11 3.2 §5.12.2)."""

    def work(operation: Operation) -> Output:
        context = cast("Digester", operation.context)
        given = require_data(data)

        def produce() -> bytes:
            context.update(given)
            return context.finish()

        return deliver(out, context.length, produce)

    return session.step("digest", work, part=False, ends=True)


def C_DigestUpdate(app: Application, session: Session, data: bytes | None) -> None:
    """Digest a part (PKCS#11 3.2 §5.12.3)."""

    def work(operation: Operation) -> None:
        cast("Digester", operation.context).update(require_data(data))

    session.step("digest", work, part=True, ends=False)


def C_DigestFinal(app: Application, session: Session, out: Out) -> Output:
    """Give the digest (PKCS#11 3.2 §5.12.5)."""

    def work(operation: Operation) -> Output:
        context = cast("Digester", operation.context)
        return deliver(out, context.length, context.finish)

    return session.step("digest", work, part=True, ends=True)


def C_DigestKey(app: Application, session: Session, key: int) -> None:
    """Digest the value of a secret key (PKCS#11 3.2 §5.12.4).

    CKR_KEY_INDIGESTIBLE for a key that is no secret one, or whose value is not given out; the
    digest goes on after that.
    """
    session.usable("digest")
    obj = app.object(session, key, CKR.KEY_HANDLE_INVALID)
    if obj.key_type is None:
        raise Refusal(CKR.KEY_HANDLE_INVALID, "the object is no key")
    if obj.kind != CKO.SECRET_KEY or obj.withholds(CKA.VALUE):
        raise Refusal(CKR.KEY_INDIGESTIBLE)
    C_DigestUpdate(app, session, obj.attributes[CKA.VALUE])

"""Message digests (PKCS#11 3.2 §5.12)."""

from typing import cast

from ukey_emulator.chip import Refusal
from ukey_emulator.chip.mechanisms import Digester
from ukey_emulator.terms import CKF, CKR

from . import wire
from .application import Application, Session
from .operations import Operation, begin, cancel, deliver, require_none, step
from .use import find, parameter_of
from .wire import Out

Output = bytes | int | None


def C_DigestInit(app: Application, session: Session, mechanism: wire.Mechanism | None) -> None:
    """Begin a digest (PKCS#11 3.2 §5.12.1)."""
    if mechanism is None:
        cancel(session, "digest")
        return
    require_none(session, "digest")
    context = find(mechanism, CKF.DIGEST).digest(parameter_of(mechanism))
    begin(session, "digest", Operation(context))


def C_Digest(app: Application, session: Session, data: bytes | None, out: Out) -> Output:
    """Digest in one part (PKCS#11 3.2 §5.12.2)."""

    def work(operation: Operation) -> Output:
        context = cast("Digester", operation.context)
        given = _given(data)

        def produce() -> bytes:
            context.update(given)
            return context.finish()

        return deliver(out, context.length, operation, produce)

    return step(session, "digest", work, part=False, ends=True)


def C_DigestUpdate(app: Application, session: Session, data: bytes | None) -> None:
    """Digest a part (PKCS#11 3.2 §5.12.3)."""

    def work(operation: Operation) -> None:
        cast("Digester", operation.context).update(_given(data))

    step(session, "digest", work, part=True, ends=False)


def C_DigestFinal(app: Application, session: Session, out: Out) -> Output:
    """Give the digest (PKCS#11 3.2 §5.12.5)."""

    def work(operation: Operation) -> Output:
        context = cast("Digester", operation.context)
        return deliver(out, context.length, operation, context.finish)

    return step(session, "digest", work, part=True, ends=True)


def _given(data: bytes | None) -> bytes:
    if data is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "the data pointer is NULL")
    return data

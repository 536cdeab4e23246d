"""Signatures and their verification (PKCS#11 3.2 §5.13, §5.15)."""

from typing import cast

from ukey_emulator.chip.mechanisms import Signer, Verifier

from . import wire
from .application import Application, Session
from .operations import Operation, deliver, require_data, step
from .use import SIGN, VERIFY, begin_use
from .wire import Out

Output = bytes | int | None


def C_SignInit(
    app: Application, session: Session, mechanism: wire.Mechanism | None, key: int
) -> None:
    """Begin a signature (PKCS#11 3.2 §5.13.1)."""
    begin_use(app, session, SIGN, mechanism, key)


def C_Sign(app: Application, session: Session, data: bytes | None, out: Out) -> Output:
    """Sign in one part (PKCS#11 3.2 §5.13.2)."""

    def work(operation: Operation) -> Output:
        context = cast("Signer", operation.context)
        given = require_data(data)

        def produce() -> bytes:
            context.update(given)
            return context.finish()

        return deliver(out, context.length, operation, produce)

    return step(session, "sign", work, part=False, ends=True)


def C_SignUpdate(app: Application, session: Session, data: bytes | None) -> None:
    """Take a part of the message to sign (PKCS#11 3.2 §5.13.3)."""

    def work(operation: Operation) -> None:
        cast("Signer", operation.context).update(require_data(data))

    step(session, "sign", work, part=True, ends=False)


def C_SignFinal(app: Application, session: Session, out: Out) -> Output:
    """Give the signature (PKCS#11 3.2 §5.13.4)."""

    def work(operation: Operation) -> Output:
        context = cast("Signer", operation.context)
        return deliver(out, context.length, operation, context.finish)

    return step(session, "sign", work, part=True, ends=True)


def C_VerifyInit(
    app: Application, session: Session, mechanism: wire.Mechanism | None, key: int
) -> None:
    """Begin a verification (PKCS#11 3.2 §5.15.1)."""
    begin_use(app, session, VERIFY, mechanism, key)


def C_Verify(
    app: Application, session: Session, data: bytes | None, signature: bytes | None
) -> None:
    """Verify in one part (PKCS#11 3.2 §5.15.2)."""

    def work(operation: Operation) -> None:
        context = cast("Verifier", operation.context)
        context.update(require_data(data))
        context.finish(require_data(signature))

    step(session, "verify", work, part=False, ends=True)


def C_VerifyUpdate(app: Application, session: Session, data: bytes | None) -> None:
    """Take a part of the message to verify (PKCS#11 3.2 §5.15.3)."""

    def work(operation: Operation) -> None:
        cast("Verifier", operation.context).update(require_data(data))

    step(session, "verify", work, part=True, ends=False)


def C_VerifyFinal(app: Application, session: Session, signature: bytes | None) -> None:
    """Judge the signature (PKCS#11 3.2 §5.15.4)."""

    def work(operation: Operation) -> None:
        cast("Verifier", operation.context).finish(require_data(signature))

    step(session, "verify", work, part=True, ends=True)

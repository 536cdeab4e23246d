"""Verification of signatures and MACs (PKCS#11 3.2 §5.14, §5.15)."""

from typing import cast

from ukey_emulator.chip import Refusal
from ukey_emulator.chip.mechanisms import Recovery, Verifier

from . import wire
from .application import Application
from .operations import Operation, deliver, require_data
from .session import Session
from .use import VERIFY, VERIFY_RECOVER, VERIFY_SIGNATURE, begin_use
from .wire import Out

Output = bytes | int | None


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

    session.step("verify", work, part=False, ends=True)


def C_VerifyUpdate(app: Application, session: Session, data: bytes | None) -> None:
    """Take a part of the message to verify (PKCS#11 3.2 §5.15.3)."""

    def work(operation: Operation) -> None:
        cast("Verifier", operation.context).update(require_data(data))

    session.step("verify", work, part=True, ends=False)


def C_VerifyFinal(app: Application, session: Session, signature: bytes | None) -> None:
    """Judge the signature (PKCS#11 3.2 §5.15.4)."""

    def work(operation: Operation) -> None:
        cast("Verifier", operation.context).finish(require_data(signature))

    session.step("verify", work, part=True, ends=True)


def C_VerifyRecoverInit(
    app: Application, session: Session, mechanism: wire.Mechanism | None, key: int
) -> None:
    """Begin taking a message out of a signature (PKCS#11 3.2 §5.15.5)."""
    begin_use(app, session, VERIFY_RECOVER, mechanism, key)


def C_VerifyRecover(
    app: Application, session: Session, signature: bytes | None, out: Out
) -> Output:
    """Take the message out of a signature (PKCS#11 3.2 §5.15.6)."""

    def work(operation: Operation) -> Output:
        context = cast("Recovery", operation.context)
        given = require_data(signature)
        return deliver(out, context.length, lambda: context.recover(given), exact=False)

    return session.step(VERIFY_RECOVER.name, work, part=False, ends=True)


def C_VerifySignatureInit(
    app: Application,
    session: Session,
    mechanism: wire.Mechanism | None,
    key: int,
    signature: bytes | None,
) -> None:
    """Begin the verification of a signature that is known from the start (PKCS#11 3.2 §5.14.1)."""
    begin_use(app, session, VERIFY_SIGNATURE, mechanism, key)
    operation = session.operations.get(VERIFY_SIGNATURE.name)
    if operation is not None:
        try:
            operation.signature = require_data(signature)
        except Refusal:
            del session.operations[VERIFY_SIGNATURE.name]
            raise


def C_VerifySignature(app: Application, session: Session, data: bytes | None) -> None:
    """Verify it over a message in one part (PKCS#11 3.2 §5.14.2)."""

    def work(operation: Operation) -> None:
        cast("Verifier", operation.context).update(require_data(data))
        _judge(operation)

    session.step(VERIFY_SIGNATURE.name, work, part=False, ends=True)


def C_VerifySignatureUpdate(app: Application, session: Session, data: bytes | None) -> None:
    """Take a part of its message (PKCS#11 3.2 §5.14.3)."""

    def work(operation: Operation) -> None:
        cast("Verifier", operation.context).update(require_data(data))

    session.step(VERIFY_SIGNATURE.name, work, part=True, ends=False)


def C_VerifySignatureFinal(app: Application, session: Session) -> None:
    """Judge it over the parts that came (PKCS#11 3.2 §5.14.4)."""
    session.step(VERIFY_SIGNATURE.name, _judge, part=True, ends=True)


def _judge(operation: Operation) -> None:
    cast("Verifier", operation.context).finish(require_data(operation.signature))

"""Signatures and their verification (PKCS#11 3.2 §5.13, §5.15)."""

from typing import cast

from ukey_emulator.chip import Refusal
from ukey_emulator.chip.mechanisms import Signer, Verifier
from ukey_emulator.terms import CKA, CKF, CKR

from . import wire
from .application import Application, Session
from .operations import Operation, begin, cancel, deliver, require_none, step
from .use import find, key_for, operation_with, parameter_of
from .wire import Out

Output = bytes | int | None


def C_SignInit(
    app: Application, session: Session, mechanism: wire.Mechanism | None, key: int
) -> None:
    """Begin a signature (PKCS#11 3.2 §5.13.1)."""
    if mechanism is None:
        cancel(session, "sign")
        return
    require_none(session, "sign")
    found = find(mechanism, CKF.SIGN)
    obj, material = key_for(app, session, found, key, CKA.SIGN)
    context = found.sign(material, parameter_of(mechanism))
    begin(session, "sign", operation_with(context, obj))


def C_Sign(app: Application, session: Session, data: bytes | None, out: Out) -> Output:
    """Sign in one part (PKCS#11 3.2 §5.13.2)."""

    def work(operation: Operation) -> Output:
        context = cast("Signer", operation.context)
        given = _given(data)

        def produce() -> bytes:
            context.update(given)
            return context.finish()

        return deliver(out, context.length, operation, produce)

    return step(session, "sign", work, part=False, ends=True)


def C_SignUpdate(app: Application, session: Session, data: bytes | None) -> None:
    """Take a part of the message to sign (PKCS#11 3.2 §5.13.3)."""

    def work(operation: Operation) -> None:
        cast("Signer", operation.context).update(_given(data))

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
    if mechanism is None:
        cancel(session, "verify")
        return
    require_none(session, "verify")
    found = find(mechanism, CKF.VERIFY)
    obj, material = key_for(app, session, found, key, CKA.VERIFY)
    context = found.verify(material, parameter_of(mechanism))
    begin(session, "verify", operation_with(context, obj))


def C_Verify(
    app: Application, session: Session, data: bytes | None, signature: bytes | None
) -> None:
    """Verify in one part (PKCS#11 3.2 §5.15.2)."""

    def work(operation: Operation) -> None:
        context = cast("Verifier", operation.context)
        context.update(_given(data))
        context.finish(_given(signature))

    step(session, "verify", work, part=False, ends=True)


def C_VerifyUpdate(app: Application, session: Session, data: bytes | None) -> None:
    """Take a part of the message to verify (PKCS#11 3.2 §5.15.3)."""

    def work(operation: Operation) -> None:
        cast("Verifier", operation.context).update(_given(data))

    step(session, "verify", work, part=True, ends=False)


def C_VerifyFinal(app: Application, session: Session, signature: bytes | None) -> None:
    """Judge the signature (PKCS#11 3.2 §5.15.4)."""

    def work(operation: Operation) -> None:
        cast("Verifier", operation.context).finish(_given(signature))

    step(session, "verify", work, part=True, ends=True)


def _given(data: bytes | None) -> bytes:
    if data is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "the data pointer is NULL")
    return data

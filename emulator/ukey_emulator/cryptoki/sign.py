"""Signatures and MACs (PKCS#11 3.2 §5.13)."""

from typing import cast

from ukey_emulator.chip.mechanisms import Signer

from . import wire
from .application import Application
from .operations import Operation, deliver, require_data
from .session import Session
from .use import SIGN, SIGN_RECOVER, begin_use
from .wire import Out

Output = bytes | int | None


def C_SignInit(
    app: Application, session: Session, mechanism: wire.Mechanism | None, key: int
) -> None:
    """Begin a signature (PKCS#11 3.2 §5.13.1)."""
    begin_use(app, session, SIGN, mechanism, key)


def C_Sign(app: Application, session: Session, data: bytes | None, out: Out) -> Output:
    """Sign in one part (PKCS#11 3.2 §5.13.2)."""
    return _whole(session, SIGN.name, data, out)


def C_SignUpdate(app: Application, session: Session, data: bytes | None) -> None:
    """Take a part of the message to sign (PKCS#11 3.2 §5.13.3)."""

    def work(operation: Operation) -> None:
        cast("Signer", operation.context).update(require_data(data))

    session.step("sign", work, part=True, ends=False)


def C_SignFinal(app: Application, session: Session, out: Out) -> Output:
    """Give the signature (PKCS#11 3.2 §5.13.4)."""

    def work(operation: Operation) -> Output:
        context = cast("Signer", operation.context)
        return deliver(out, context.length, context.finish)

    return session.step("sign", work, part=True, ends=True)


def C_SignRecoverInit(
    app: Application, session: Session, mechanism: wire.Mechanism | None, key: int
) -> None:
    """Begin a signature that holds its message (PKCS#11 3.2 §5.13.5)."""
    begin_use(app, session, SIGN_RECOVER, mechanism, key)


def C_SignRecover(app: Application, session: Session, data: bytes | None, out: Out) -> Output:
    """Sign so that the message can be taken out again (PKCS#11 3.2 §5.13.6)."""
    return _whole(session, SIGN_RECOVER.name, data, out)


def _whole(session: Session, name: str, data: bytes | None, out: Out) -> Output:
    def work(operation: Operation) -> Output:
        context = cast("Signer", operation.context)
        given = require_data(data)

        def produce() -> bytes:
            context.update(given)
            return context.finish()

        return deliver(out, context.length, produce)

    return session.step(name, work, part=False, ends=True)

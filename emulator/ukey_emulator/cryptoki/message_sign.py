"""Signatures of messages, many with one key, and their verification (§5.14, §5.16)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from ukey_emulator.chip import Refusal
from ukey_emulator.chip.mechanisms import Signer, Verifier
from ukey_emulator.terms import CKA, CKF, CKR

from . import wire
from .application import Application
from .message import active, fits
from .operations import require_data
from .session import Session
from .use import Use, begin_use
from .wire import Out

Work = TypeVar("Work", Signer, Verifier)


@dataclass(slots=True)
class Process(Generic[Work]):
    """Messages one after another; `first` was begun to see that it can be, and serves the next.

    `current` is the message that comes in parts.
    """

    begin: Callable[[], Work]
    first: Work | None
    current: Work | None = None

    def next(self) -> Work:
        """Begin a message; CKR_OPERATION_ACTIVE while one is coming in parts."""
        if self.current is not None:
            raise Refusal(CKR.OPERATION_ACTIVE, "a message is coming in parts")
        work, self.first = self.first, None
        return self.begin() if work is None else work

    def going_on(self) -> Work:
        """Give the message that comes in parts; CKR_OPERATION_NOT_INITIALIZED if none does."""
        if self.current is None:
            raise Refusal(CKR.OPERATION_NOT_INITIALIZED, "no message has begun")
        return self.current


SIGN_MESSAGES = Use(
    "message-sign",
    CKF.MESSAGE_SIGN,
    CKA.SIGN,
    lambda mechanism, *rest: Process(lambda: mechanism.sign(*rest), mechanism.sign(*rest)),
)
VERIFY_MESSAGES = Use(
    "message-verify",
    CKF.MESSAGE_VERIFY,
    CKA.VERIFY,
    lambda mechanism, *rest: Process(lambda: mechanism.verify(*rest), mechanism.verify(*rest)),
)


def C_MessageSignInit(
    app: Application, session: Session, mechanism: wire.Mechanism | None, key: int
) -> None:
    """Begin the signing of messages (PKCS#11 3.2 §5.14.1)."""
    begin_use(app, session, SIGN_MESSAGES, mechanism, key)


def C_SignMessage(
    app: Application, session: Session, parameter: bytes | None, data: bytes | None, out: Out
) -> bytes | int:
    """Sign a message in one part (PKCS#11 3.2 §5.14.2)."""
    process = _signing(session)
    _require_none(parameter)
    signer = process.next()
    try:
        given = require_data(data)
        if not fits(out, signer.length):
            process.first = signer
            return signer.length
    except Refusal:
        process.first = signer
        raise
    signer.update(given)
    return signer.finish()


def C_SignMessageBegin(app: Application, session: Session, parameter: bytes | None) -> None:
    """Begin a message in parts (PKCS#11 3.2 §5.14.3)."""
    process = _signing(session)
    _require_none(parameter)
    process.current = process.next()


def C_SignMessageNext(
    app: Application, session: Session, parameter: bytes | None, data: bytes | None, out: Out
) -> bytes | int | None:
    """Take a part; the call that has a place for the length ends the message (§5.14.4)."""
    process = _signing(session)
    signer = process.going_on()
    try:
        _require_none(parameter)
        given = require_data(data)
        if not out.asked:
            signer.update(given)
            return None
        if not fits(out, signer.length):
            return signer.length
        signer.update(given)
        signature = signer.finish()
    except Refusal as refusal:
        if refusal.code is not CKR.BUFFER_TOO_SMALL:
            process.current = None
        raise
    process.current = None
    return signature


def C_MessageSignFinal(app: Application, session: Session) -> None:
    """End the signing of messages (PKCS#11 3.2 §5.14.5)."""
    _finish(session, SIGN_MESSAGES)


def C_MessageVerifyInit(
    app: Application, session: Session, mechanism: wire.Mechanism | None, key: int
) -> None:
    """Begin the verification of messages (PKCS#11 3.2 §5.16.1)."""
    begin_use(app, session, VERIFY_MESSAGES, mechanism, key)


def C_VerifyMessage(
    app: Application,
    session: Session,
    parameter: bytes | None,
    data: bytes | None,
    signature: bytes | None,
) -> None:
    """Verify a message in one part (PKCS#11 3.2 §5.16.2)."""
    process = _verifying(session)
    _require_none(parameter)
    verifier = process.next()
    verifier.update(require_data(data))
    verifier.finish(require_data(signature))


def C_VerifyMessageBegin(app: Application, session: Session, parameter: bytes | None) -> None:
    """Begin a message in parts (PKCS#11 3.2 §5.16.3)."""
    process = _verifying(session)
    _require_none(parameter)
    process.current = process.next()


def C_VerifyMessageNext(
    app: Application,
    session: Session,
    parameter: bytes | None,
    data: bytes | None,
    signature: bytes | None,
) -> None:
    """Take a part; the call that has the signature ends the message (PKCS#11 3.2 §5.16.4)."""
    process = _verifying(session)
    verifier = process.going_on()
    try:
        _require_none(parameter)
        verifier.update(require_data(data))
        if signature is not None:
            process.current = None
            verifier.finish(signature)
    except Refusal:
        process.current = None
        raise


def C_MessageVerifyFinal(app: Application, session: Session) -> None:
    """End the verification of messages (PKCS#11 3.2 §5.16.5)."""
    _finish(session, VERIFY_MESSAGES)


def _signing(session: Session) -> Process[Signer]:
    return cast("Process[Signer]", active(session, SIGN_MESSAGES).context)


def _verifying(session: Session) -> Process[Verifier]:
    return cast("Process[Verifier]", active(session, VERIFY_MESSAGES).context)


def _finish(session: Session, use: Use) -> None:
    if cast("Process[Signer]", active(session, use, ending=True).context).current is not None:
        raise Refusal(CKR.OPERATION_ACTIVE, "a message has not come to its end")
    del session.operations[use.name]


def _require_none(parameter: bytes | None) -> None:
    if parameter:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, "no message has a parameter of its own here")

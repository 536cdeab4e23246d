"""Encryption and decryption of messages, many under one key (PKCS#11 3.2 §5.9, §5.11)."""

from dataclasses import dataclass
from typing import cast

from ukey_emulator.chip import Refusal
from ukey_emulator.chip.mechanisms import Opening, Parameter, Sealed, Sealing
from ukey_emulator.terms import CKA, CKF, CKR

from . import wire
from .application import Application
from .operations import Operation, require_data
from .session import Session
from .use import Use, begin_use
from .wire import Out

# What goes into the parameter (nonce, tag), and the output or its length.
Sent = tuple[tuple[bytes | None, bytes | None] | None, bytes | int]
MessageParameter = bytes | wire.Parameter | wire.Misfit | None


@dataclass(slots=True)
class Sealings:
    """The encryption of messages; `current` is the one that comes in parts."""

    sealing: Sealing
    current: Sealed | None = None


@dataclass(slots=True)
class Openings:
    """The decryption of messages; of one that comes in parts all is kept to its end."""

    opening: Opening
    extra: bytes | None = None
    data: bytes = b""


ENCRYPT_MESSAGES = Use(
    "message-encrypt",
    CKF.MESSAGE_ENCRYPT,
    CKA.ENCRYPT,
    lambda mechanism, material, _: Sealings(mechanism.seal_messages(material)),
)
DECRYPT_MESSAGES = Use(
    "message-decrypt",
    CKF.MESSAGE_DECRYPT,
    CKA.DECRYPT,
    lambda mechanism, material, _: Openings(mechanism.open_messages(material)),
)


def C_MessageEncryptInit(
    app: Application, session: Session, mechanism: wire.Mechanism | None, key: int
) -> None:
    """Begin the encryption of messages (PKCS#11 3.2 §5.9.1)."""
    begin_use(app, session, ENCRYPT_MESSAGES, _bare(mechanism), key)


def C_EncryptMessage(
    app: Application,
    session: Session,
    parameter: MessageParameter,
    extra: bytes | None,
    data: bytes | None,
    out: Out,
) -> Sent:
    """Encrypt a message in one part (PKCS#11 3.2 §5.9.2)."""
    process = cast("Sealings", active(session, ENCRYPT_MESSAGES).context)
    if process.current is not None:
        raise Refusal(CKR.OPERATION_ACTIVE, "a message is coming in parts")
    clear, fields = require_data(data), fields_of(parameter)
    process.sealing.tag_length(fields)
    if not fits(out, len(clear), heads=1):
        return None, len(clear)
    message = process.sealing.begin(fields, require_data(extra), len(clear))
    sealed = message.update(clear)
    return (message.nonce, message.tag()), sealed


def C_EncryptMessageBegin(
    app: Application, session: Session, parameter: MessageParameter, extra: bytes | None
) -> tuple[tuple[bytes | None, None]]:
    """Begin a message in parts (PKCS#11 3.2 §5.9.3)."""
    process = cast("Sealings", active(session, ENCRYPT_MESSAGES).context)
    if process.current is not None:
        raise Refusal(CKR.OPERATION_ACTIVE, "a message is coming in parts already")
    process.current = process.sealing.begin(fields_of(parameter), require_data(extra), None)
    return ((process.current.nonce, None),)


def C_EncryptMessageNext(
    app: Application,
    session: Session,
    parameter: MessageParameter,
    data: bytes | None,
    out: Out,
    flags: int,
) -> Sent:
    """Encrypt a part; the last one gives the tag (PKCS#11 3.2 §5.9.4)."""
    process = cast("Sealings", active(session, ENCRYPT_MESSAGES).context)
    message = process.current
    if message is None:
        raise Refusal(CKR.OPERATION_NOT_INITIALIZED, "no message has begun")
    last = bool(flags & CKF.END_OF_MESSAGE)
    try:
        clear = require_data(data)
        if last:
            _require_tag(process, message, parameter)
        if not fits(out, len(clear), heads=1):
            return None, len(clear)
        sealed = message.update(clear)
        tag = message.tag() if last else None
    except Refusal as refusal:
        if refusal.code is not CKR.BUFFER_TOO_SMALL:
            process.current = None
        raise
    if last:
        process.current = None
    return (None, tag), sealed


def _require_tag(process: Sealings, message: Sealed, parameter: MessageParameter) -> None:
    if process.sealing.tag_length(fields_of(parameter)) != message.tag_length:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, "the tag had another length before")


def C_MessageEncryptFinal(app: Application, session: Session) -> None:
    """End the encryption of messages (PKCS#11 3.2 §5.9.5)."""
    process = cast("Sealings", active(session, ENCRYPT_MESSAGES, ending=True).context)
    if process.current is not None:
        raise Refusal(CKR.OPERATION_ACTIVE, "a message has not come to its end")
    del session.operations[ENCRYPT_MESSAGES.name]


def C_MessageDecryptInit(
    app: Application, session: Session, mechanism: wire.Mechanism | None, key: int
) -> None:
    """Begin the decryption of messages (PKCS#11 3.2 §5.11.1)."""
    begin_use(app, session, DECRYPT_MESSAGES, _bare(mechanism), key)


def C_DecryptMessage(
    app: Application,
    session: Session,
    parameter: MessageParameter,
    extra: bytes | None,
    data: bytes | None,
    out: Out,
) -> bytes | int:
    """Decrypt a message in one part (PKCS#11 3.2 §5.11.2)."""
    process = cast("Openings", active(session, DECRYPT_MESSAGES).context)
    if process.extra is not None:
        raise Refusal(CKR.OPERATION_ACTIVE, "a message is coming in parts")
    sealed, fields = require_data(data), fields_of(parameter)
    if not fits(out, len(sealed)):
        return len(sealed)
    return process.opening.open(fields, require_data(extra), sealed)


def C_DecryptMessageBegin(
    app: Application, session: Session, parameter: MessageParameter, extra: bytes | None
) -> None:
    """Begin a message in parts (PKCS#11 3.2 §5.11.3)."""
    process = cast("Openings", active(session, DECRYPT_MESSAGES).context)
    if process.extra is not None:
        raise Refusal(CKR.OPERATION_ACTIVE, "a message is coming in parts already")
    fields_of(parameter)
    process.extra, process.data = require_data(extra), b""


def C_DecryptMessageNext(
    app: Application,
    session: Session,
    parameter: MessageParameter,
    data: bytes | None,
    out: Out,
    flags: int,
) -> bytes | int:
    """Take a part; the last one brings the tag, and gives all that was sealed (§5.11.4)."""
    process = cast("Openings", active(session, DECRYPT_MESSAGES).context)
    if process.extra is None:
        raise Refusal(CKR.OPERATION_NOT_INITIALIZED, "no message has begun")
    try:
        whole = process.data + require_data(data)
        if not flags & CKF.END_OF_MESSAGE:
            if not fits(out, 0):
                return 0
            process.data = whole
            return b""
        if not fits(out, len(whole)):
            return len(whole)
        clear = process.opening.open(fields_of(parameter), process.extra, whole)
    except Refusal as refusal:
        if refusal.code is not CKR.BUFFER_TOO_SMALL:
            process.extra = None
        raise
    process.extra = None
    return clear


def C_MessageDecryptFinal(app: Application, session: Session) -> None:
    """End the decryption of messages (PKCS#11 3.2 §5.11.5)."""
    process = cast("Openings", active(session, DECRYPT_MESSAGES, ending=True).context)
    if process.extra is not None:
        raise Refusal(CKR.OPERATION_ACTIVE, "a message has not come to its end")
    del session.operations[DECRYPT_MESSAGES.name]


def active(session: Session, use: Use, *, ending: bool = False) -> Operation:
    """Give a process that is under way.

    CKR_OPERATION_NOT_INITIALIZED if none is; CKR_USER_NOT_LOGGED_IN if its key waits for a PIN,
    unless it is only to be ended.
    """
    operation = session.operations.get(use.name)
    if operation is None:
        raise Refusal(CKR.OPERATION_NOT_INITIALIZED, f"no {use.name} operation")
    if not operation.authorised and not ending:
        raise Refusal(CKR.USER_NOT_LOGGED_IN, "the key asks for its PIN at each use")
    return operation


def fits(out: Out, length: int, *, heads: int = 0, tails: int = 0) -> bool:
    """Tell whether output of a known length is to be made: False if only its length is asked.

    CKR_BUFFER_TOO_SMALL with the length, among outputs before and behind it that stay as they are.
    """
    if not out.asked:
        raise Refusal(CKR.ARGUMENTS_BAD, "the length pointer is NULL")
    if out.capacity is None:
        return False
    if out.capacity < length:
        raise Refusal(CKR.BUFFER_TOO_SMALL, results=(*[None] * heads, length, *[None] * tails))
    return True


def fields_of(parameter: MessageParameter) -> Parameter:
    """Take a message's parameter off the wire; CKR_MECHANISM_PARAM_INVALID if it is none."""
    if not isinstance(parameter, wire.Parameter):
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, "no parameter of a message")
    return parameter.fields


def _bare(mechanism: wire.Mechanism | None) -> wire.Mechanism | None:
    """Leave out the parameter of the mechanism, as each message brings its own (§6.13.2)."""
    return None if mechanism is None else wire.Mechanism(mechanism.type, None)

"""Encryption and decryption (PKCS#11 3.2 §5.8, §5.10)."""

from typing import cast

from ukey_emulator.chip import Refusal
from ukey_emulator.chip.mechanisms import Ciphering

from . import wire
from .application import Application
from .operations import Operation, deliver, require_data
from .session import Session
from .use import DECRYPT, ENCRYPT, begin_use
from .wire import Out

Output = bytes | int | None


def C_EncryptInit(
    app: Application, session: Session, mechanism: wire.Mechanism | None, key: int
) -> None:
    """Begin an encryption (PKCS#11 3.2 §5.8.1)."""
    begin_use(app, session, ENCRYPT, mechanism, key)


def C_Encrypt(app: Application, session: Session, data: bytes | None, out: Out) -> Output:
    """Encrypt in one part (PKCS#11 3.2 §5.8.2)."""
    return _whole(session, "encrypt", data, out)


def C_EncryptUpdate(app: Application, session: Session, data: bytes | None, out: Out) -> Output:
    """Encrypt a part (PKCS#11 3.2 §5.8.3)."""
    return _part(session, "encrypt", data, out)


def C_EncryptFinal(app: Application, session: Session, out: Out) -> Output:
    """End an encryption (PKCS#11 3.2 §5.8.4)."""
    return _final(session, "encrypt", out)


def C_DecryptInit(
    app: Application, session: Session, mechanism: wire.Mechanism | None, key: int
) -> None:
    """Begin a decryption (PKCS#11 3.2 §5.10.1)."""
    begin_use(app, session, DECRYPT, mechanism, key)


def C_Decrypt(app: Application, session: Session, data: bytes | None, out: Out) -> Output:
    """Decrypt in one part (PKCS#11 3.2 §5.10.2)."""
    return _whole(session, "decrypt", data, out)


def C_DecryptUpdate(app: Application, session: Session, data: bytes | None, out: Out) -> Output:
    """Decrypt a part (PKCS#11 3.2 §5.10.3)."""
    return _part(session, "decrypt", data, out)


def C_DecryptFinal(app: Application, session: Session, out: Out) -> Output:
    """End a decryption (PKCS#11 3.2 §5.10.4)."""
    return _final(session, "decrypt", out)


def _context(operation: Operation) -> Ciphering:
    return cast("Ciphering", operation.context)


def _whole(session: Session, name: str, data: bytes | None, out: Out) -> Output:
    def work(operation: Operation) -> Output:
        context = _context(operation)
        given = require_data(data)
        most = context.last(len(given))
        try:
            return deliver(
                out, most, lambda: context.update(given) + context.finish(), exact=context.exact
            )
        except Refusal:
            operation.start_over()
            raise

    return session.step(name, work, part=False, ends=True)


def _part(session: Session, name: str, data: bytes | None, out: Out) -> Output:
    def work(operation: Operation) -> Output:
        context = _context(operation)
        given = require_data(data)
        if out.asked and out.capacity is None:
            # A bound (§5.2): of a length of 0 many a program makes a NULL buffer, and the call
            # that should have carried the data is a question again.
            return max(context.room(len(given)), len(given))
        return deliver(out, context.room(len(given)), lambda: context.update(given))

    return session.step(name, work, part=True, ends=False)


def _final(session: Session, name: str, out: Out) -> Output:
    def work(operation: Operation) -> Output:
        context = _context(operation)
        return deliver(out, context.last(), context.finish, exact=context.exact)

    return session.step(name, work, part=True, ends=True)

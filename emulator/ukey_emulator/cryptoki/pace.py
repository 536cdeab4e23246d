"""The time that a slow key takes for what it is asked to do, if its profile says so."""

from collections.abc import Callable
from functools import partial
from typing import Any

from ukey_emulator.chip import Chip, PinRefusal, Refusal
from ukey_emulator.chip.keys.size import size_of
from ukey_emulator.profiles.timing import seconds_of
from ukey_emulator.terms import CKA, CKR

from .application import Application
from .session import Session
from .wire import Attribute, Mechanism, Out

_OPERATIONS = {
    "C_Encrypt": "encrypt",
    "C_Decrypt": "decrypt",
    "C_Digest": "digest",
    "C_Sign": "sign",
    "C_SignRecover": "sign-recover",
    "C_Verify": "verify",
    "C_VerifyRecover": "verify-recover",
    "C_VerifySignature": "verify-signature",
}
# Refusals that the key itself comes to, by its work.
_WORKED = (CKR.SIGNATURE_INVALID, CKR.ENCRYPTED_DATA_INVALID)
_BYTE = 8  # bits


def in_session(
    app: Application, session: Session, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> Any:  # noqa: ANN401 - what the function gives
    """Carry out a function of a session in the time that the key takes for it.

    The time is taken when all is done but what lasts: new objects are not there before it is over.
    A call that is refused takes none, but for a PIN or a signature that is wrong; who asks for a
    length gets that at once.
    """
    seconds = _seconds(session, function.__name__, arguments)
    if not seconds or _asks_length(arguments):
        return function(app, session, *arguments)
    session.pause = partial(take, app, session.chip, seconds)
    try:
        result = function(app, session, *arguments)
    except Refusal as refusal:
        if isinstance(refusal, PinRefusal) or refusal.code in _WORKED:
            _rest(session)
        raise
    else:
        _rest(session)
        return result
    finally:
        session.pause = None


def on_token(
    app: Application, chip: Chip, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> Any:  # noqa: ANN401 - what the function gives
    """Carry out a function of the token in a slot in the time that the key takes for it."""
    result = function(app, *arguments)
    seconds = seconds_of(chip.identity.timing, function.__name__)
    if seconds and not _asks_length(arguments):
        take(app, chip, seconds)
    return result


def take(app: Application, chip: Chip, seconds: float) -> None:
    """Take so much of a key's time; it ends at once when the key is pulled out."""
    app.slots.linger(chip, seconds, lambda: app.ended)
    if app.ended:
        raise Refusal(CKR.CRYPTOKI_NOT_INITIALIZED, "C_Finalize was called meanwhile")


def _rest(session: Session) -> None:
    """Take the time if the function has not."""
    if session.pause is not None:
        session.pause()


def _asks_length(arguments: tuple[Any, ...]) -> bool:
    return any(isinstance(each, Out) and each.capacity is None for each in arguments)


def _seconds(session: Session, name: str, arguments: tuple[Any, ...]) -> float:
    mechanism = bits = None
    operation = session.operations.get(
        _OPERATIONS.get(name.removesuffix("Update").removesuffix("Final"), "")
    )
    if operation is not None:
        mechanism = operation.mechanism
        bits = None if operation.key is None else _bits(operation.key.attributes)
    for each in arguments:
        if isinstance(each, Mechanism):
            mechanism = each.type
        elif bits is None and isinstance(each, list) and all(map(_is_attribute, each)):
            bits = _bits({attribute.type: _value(attribute) for attribute in each})
    return seconds_of(session.chip.identity.timing, name, mechanism, bits)


def _is_attribute(each: object) -> bool:
    return isinstance(each, Attribute)


def _value(attribute: Attribute) -> bytes | None:
    return attribute.value if isinstance(attribute.value, bytes) else None


def _bits(attributes: dict[int, bytes] | dict[int, bytes | None]) -> int | None:
    size = size_of(attributes)
    if size is None or attributes.get(CKA.VALUE_LEN) is None:
        return size
    return size * _BYTE

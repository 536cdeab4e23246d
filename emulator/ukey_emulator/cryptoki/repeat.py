"""Signatures that are made again and again: the way to the key is found once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from ukey_emulator.chip import Refusal
from ukey_emulator.chip.mechanisms import Signer

from .application import Application
from .session import Session
from .use import SIGN


@dataclass(frozen=True, slots=True)
class Signing:
    """What C_SignInit found: as long as the epoch stands still, it would find the same again."""

    epoch: int
    session: Session
    begin: Callable[[], object]
    length: int

    @classmethod
    def begun(cls, application: Application, handle: int, epoch: int) -> "Signing | None":
        """Take it from the signature that has just been begun; None if that may not be repeated."""
        try:
            session = application.session(handle)
        except Refusal:
            return None
        operation = session.operations.get(SIGN.name)
        if session.chip.paced:
            return None
        if not epoch or operation is None or not operation.authorised or operation.begin is None:
            return None
        return cls(epoch, session, operation.begin, cast("Signer", operation.context).length)

    def sign(self, data: bytes) -> bytes | None:
        """Do C_SignInit and C_Sign at once; None where that has to be done step by step."""
        session = self.session
        with session.lock:
            if SIGN.name in session.operations:
                return None
            try:
                signer = cast("Signer", self.begin())
                signer.update(data)
                signature = signer.finish()
            except Refusal:
                return None
            # The key may have been pulled out meanwhile: then this is told step by step.
            return signature if session.slot.chip is session.chip else None

"""Where a PIN comes from: from the program, or from the key's own pad (PKCS#11 3.2 §5.6.8)."""

from ukey_emulator.chip import Chip, Refusal
from ukey_emulator.terms import CKR

from .application import Application


def pin_of(app: Application, chip: Chip, given: bytes | None) -> bytes:
    """Give the PIN of a call: what came with it, or what the holder types where NULL came.

    CKR_ARGUMENTS_BAD for NULL where there is no pad, and for a PIN where that is typed on the pad
    alone; CKR_FUNCTION_CANCELED if the holder cancels or types nothing in time.
    """
    pad = chip.identity.pad
    if given is not None:
        if pad is not None and not pad.host_pins:
            raise Refusal(CKR.ARGUMENTS_BAD, "the PIN is typed on the key's pad: it is NULL here")
        return given
    if pad is None:
        raise Refusal(CKR.ARGUMENTS_BAD, "the PIN is NULL, and the token has no PIN pad")
    typed = app.slots.typed(chip, pad.timeout, lambda: app.ended)
    if app.ended:
        raise Refusal(CKR.CRYPTOKI_NOT_INITIALIZED, "C_Finalize was called meanwhile")
    if not isinstance(typed, bytes):
        raise Refusal(CKR.FUNCTION_CANCELED, "no PIN was typed on the pad")
    return typed

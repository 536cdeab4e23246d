"""Leaves a key that cannot be made anew as it was found: what cases put onto it is taken away."""

from contextlib import suppress

from ukey_harness.cases.case import NotApplicable, Unprepared
from ukey_harness.cases.pkcs11.stand import MARK, Stand
from ukey_harness.cryptoki.names import CKA


def sweep(stand: Stand) -> None:
    """Destroy the token objects whose label begins with MARK; a module that fails is left alone."""
    with suppress(Unprepared, NotApplicable):
        stand.rv("Finalize", None)
        stand.initialized = False
        stand.forget_slot()
        session = stand.user()
        for handle in stand.find(session, {CKA.TOKEN: True}):
            label = stand.attribute(session, handle, CKA.LABEL) or b""
            if label.startswith(MARK.encode()):
                stand.rv("DestroyObject", session, handle)
        stand.rv("Finalize", None)

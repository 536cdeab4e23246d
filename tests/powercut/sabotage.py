"""Emulators that are broken on purpose, one rule each: what the cuts have to find."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from ukey_emulator.chip.guard import Guard
from ukey_emulator.chip.pins import Role
from ukey_emulator.chip.refusal import PinRefusal
from ukey_emulator.chip.store import Store
from ukey_emulator.terms import CKR


def waits_for_nothing() -> None:
    """Do not wait for the disk, though a key is lasting."""
    connect = Store._connect

    def connected(store: Store) -> sqlite3.Connection:
        file = connect(store)
        file.execute("PRAGMA synchronous=NORMAL")
        return file

    Store._connect = connected  # type: ignore[method-assign]


def changes_in_pieces() -> None:
    """Make no change whole: each statement stands for itself."""

    @contextmanager
    def change(store: Store) -> Iterator[None]:
        with store._open():
            yield

    Store.change = change  # type: ignore[method-assign, assignment]


def counts_late() -> None:
    """Count a try once the PIN was found to be wrong."""

    def check(guard: Guard, role: Role, pin: bytes) -> bytes:
        record = guard._records[role]
        if record.locked:
            raise PinRefusal(CKR.PIN_LOCKED, 0)
        master = record.open(pin)
        if master is None:
            guard.put({role: record.spent()})
            raise PinRefusal(CKR.PIN_INCORRECT, record.tries_left - 1)
        guard.put({role: record.refreshed()})
        return master

    Guard.check = check  # type: ignore[method-assign]


def forgets_to_write() -> None:
    """Keep in the memory alone what a program is told of."""
    Store.put_object = lambda *_: None  # type: ignore[method-assign, assignment, misc]


ALL = {each.__name__: each for each in (waits_for_nothing, changes_in_pieces, counts_late)}
ALL["forgets_to_write"] = forgets_to_write

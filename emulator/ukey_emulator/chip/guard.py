"""The guard: what PINs a key has, how many tries are left of them, and whether one is right."""

from collections.abc import Mapping

from ukey_emulator.profiles import Identity
from ukey_emulator.profiles.quirks import Quirk
from ukey_emulator.terms import CKA, CKO, CKR

from .objects import Object
from .objects.kinds import number
from .objects.rules import HW_FEATURE
from .pins import PinRecord, Role
from .refusal import PinRefusal, Refusal
from .store import Store

# The hardware feature that tells how many PIN tries are left, which the standard has no word for.
PIN_COUNTER = 0x80000001
USER_TRIES_LEFT, USER_TRIES, SO_TRIES_LEFT, SO_TRIES = range(0x80554B01, 0x80554B05)
_COUNTER: dict[int, bytes] = {
    CKA.CLASS: number(CKO.HW_FEATURE),
    CKA.HW_FEATURE_TYPE: number(PIN_COUNTER),
}


class Guard:
    """The PINs of a key in its store; `counter` is the hardware feature that tells of their tries.

    Its methods are called under the chip's lock.
    """

    def __init__(self, store: Store, identity: Identity, tries: Mapping[Role, int]) -> None:
        self._store = store
        self._identity = identity
        self._tries = tries
        self._records = store.pins()
        self.counter = Object(_COUNTER, HW_FEATURE)
        self._count_tries()

    def record(self, role: Role) -> PinRecord | None:
        """Give the record of a PIN, None if it is not set."""
        return self._records.get(role)

    def tries(self, role: Role) -> int:
        """Give how many tries a PIN has, or will have once it is set."""
        record = self._records.get(role)
        return self._tries[role] if record is None else record.tries

    def check(self, role: Role, pin: bytes) -> bytes:
        """Give the master key if the PIN is right.

        PinRefusal with CKR_PIN_INCORRECT or CKR_PIN_LOCKED; CKR_USER_PIN_NOT_INITIALIZED.
        """
        record = self._records.get(role)
        if record is None:
            raise Refusal(CKR.USER_PIN_NOT_INITIALIZED, f"no {role.name} PIN is set")
        if record.locked:
            unsaid = Quirk.LOCKED_INCORRECT in self._identity.quirks
            raise PinRefusal(CKR.PIN_INCORRECT if unsaid else CKR.PIN_LOCKED, 0)
        # The try is spent before the PIN is compared, so that cutting the power gains nothing.
        record = record.spent()
        self.put({role: record})
        master = record.open(pin)
        if master is None:
            raise PinRefusal(CKR.PIN_INCORRECT, record.tries_left)
        self.put({role: record.refreshed()})
        return master

    def put(self, records: Mapping[Role, PinRecord]) -> None:
        """Keep these PINs in one change."""
        with self._store.change():
            self.write(records)
        self.take(records)

    def write(self, records: Mapping[Role, PinRecord]) -> None:
        """Write PINs inside a change of the store, which `take` follows."""
        for role, record in records.items():
            self._store.put_pin(role, record)

    def take(self, records: Mapping[Role, PinRecord], *, only: bool = False) -> None:
        """Count with PINs that have been written, `only` with them if the others are gone."""
        self._records = dict(records) if only else {**self._records, **records}
        self._count_tries()

    def refuse_length(self, pin: bytes) -> None:
        """Refuse a new PIN that is too short or too long with CKR_PIN_LEN_RANGE."""
        least, most = self._identity.min_pin_length, self._identity.max_pin_length
        if not least <= len(pin) <= most:
            raise Refusal(CKR.PIN_LEN_RANGE, f"{least} to {most} bytes")

    def _count_tries(self) -> None:
        """Show in the hardware feature how many tries the PINs have; after each change of them."""
        counts = dict(_COUNTER)
        for role, left, most in (
            (Role.USER, USER_TRIES_LEFT, USER_TRIES),
            (Role.SO, SO_TRIES_LEFT, SO_TRIES),
        ):
            record = self._records.get(role)
            if record is not None:
                counts[left] = number(record.tries_left)
                counts[most] = number(record.tries)
        self.counter.attributes = counts

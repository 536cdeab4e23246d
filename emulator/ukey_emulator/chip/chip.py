"""The chip: one key, from its PINs to its objects."""

import secrets
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ukey_emulator.terms import CKA, CKO, CKR

from .identity import Identity
from .mechanisms import MECHANISMS, Mechanism, find
from .objects import Object, Shelf, Template, amended
from .objects.kinds import number, pack_template, unpack_template
from .objects.object import table_of
from .objects.profiles import profiles
from .objects.rules import HW_FEATURE
from .pins import MASTER_LENGTH, Lock, PinRecord, Role
from .refusal import PinRefusal, Refusal
from .store import Store

_NONCE_LENGTH = 12
_PROFILE = number(CKO.PROFILE)

# The hardware feature that tells how many PIN tries are left, which the standard has no word for.
PIN_COUNTER = 0x80000001
USER_TRIES_LEFT, USER_TRIES, SO_TRIES_LEFT, SO_TRIES = range(0x80554B01, 0x80554B05)
_COUNTER: dict[int, bytes] = {
    CKA.CLASS: number(CKO.HW_FEATURE),
    CKA.HW_FEATURE_TYPE: number(PIN_COUNTER),
}


@dataclass(frozen=True, slots=True)
class Factory:
    """How fresh keys leave the factory: their PINs, turned into wrapping keys only once."""

    user: Lock
    so: Lock
    tries: int

    @classmethod
    def of(cls, pin: bytes, so_pin: bytes, tries: int) -> "Factory":
        """Prepare to make keys with these PINs and that many tries for each."""
        return cls(Lock.of(pin), Lock.of(so_pin), tries)


class Chip:
    """One key, open on its file.

    Objects that belong to sessions live outside; the chip keeps only those on the token. All
    methods may be called by many threads.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.RLock()
        facts = {name: value.decode() for name, value in self._store.facts().items()}
        without = frozenset(map(int, facts.get("without", "").split()))
        self.identity = Identity(serial=facts.get("serial", ""), without=without)
        self.label = facts.get("label", "")
        self._tries = int(facts.get("tries", "10"))
        self._pins = self._store.pins()
        self._master: bytes | None = None
        self._users: dict[Role, int] = {Role.SO: 0, Role.USER: 0}
        self._counter = Object(_COUNTER, HW_FEATURE)
        self._count_tries()
        self._public, self._private = Shelf(), Shelf()
        for row, blob in self._store.objects(private=False):
            self._public.put(row, _revive(blob))

    @classmethod
    def open(cls, path: Path, *, lasting: bool = True) -> "Chip":
        """Open the key in a file; CKR_DEVICE_ERROR if that is none.

        A key that is not `lasting` need not outlive a crash of the machine.
        """
        return cls(Store(path, lasting=lasting))

    @classmethod
    def make(
        cls,
        path: Path,
        serial: str,
        label: str,
        factory: Factory | None = None,
        *,
        lasting: bool = True,
        without: Collection[int] = (),
    ) -> "Chip":
        """Make a new key in a new file; without a factory it is not initialised yet.

        `without` are the mechanisms that the key shall not have.
        """
        store = Store.create(path, lasting=lasting)
        with store.change():
            store.put_fact("serial", serial.encode())
            store.put_fact("label", label.encode())
            if without:
                store.put_fact("without", " ".join(map(str, sorted(without))).encode())
            if factory is not None:
                master = secrets.token_bytes(MASTER_LENGTH)
                store.put_fact("tries", str(factory.tries).encode())
                store.put_pin(Role.SO, PinRecord.seal(factory.so, master, factory.tries))
                store.put_pin(Role.USER, PinRecord.seal(factory.user, master, factory.tries))
        return cls(store)

    def close(self) -> None:
        """Close the file; the chip is dead afterwards."""
        with self._lock:
            self._forget()
            self._store.close()

    # Mechanisms

    def mechanisms(self) -> Iterator[Mechanism]:
        """Give the mechanisms that this key has."""
        for kind, mechanism in MECHANISMS.items():
            if kind not in self.identity.without:
                yield mechanism

    def mechanism(self, kind: int) -> Mechanism:
        """Give one of them; CKR_MECHANISM_INVALID if the key has it not."""
        if kind in self.identity.without:
            raise Refusal(CKR.MECHANISM_INVALID, f"this key is without mechanism {kind:#x}")
        return find(kind)

    # PINs

    @property
    def initialised(self) -> bool:
        """Whether the token has been initialised, and so has an SO PIN."""
        return Role.SO in self._pins

    def pin(self, role: Role) -> PinRecord | None:
        """Give the record of a PIN, None if it is not set."""
        return self._pins.get(role)

    def log_in(self, role: Role, pin: bytes) -> None:
        """Check a PIN and open what it guards; each call wants one `log_out`.

        PinRefusal with CKR_PIN_INCORRECT or CKR_PIN_LOCKED; CKR_USER_PIN_NOT_INITIALIZED.
        """
        with self._lock:
            master = self._check(role, pin)
            if role is Role.USER and not self._users[role]:
                self._private = self._open_private(master)
            self._master = master
            self._users[role] += 1

    def _open_private(self, master: bytes) -> Shelf:
        shelf = Shelf()
        for row, blob in self._store.objects(private=True):
            shelf.put(row, _revive(_unseal(master, row, blob)))
        return shelf

    def log_out(self, role: Role) -> None:
        """Close what a `log_in` opened; with the last one the secrets leave the memory."""
        with self._lock:
            self._users[role] -= 1
            if not self._users[Role.USER]:
                self._private = Shelf()
            if not any(self._users.values()):
                self._master = None

    def verify_pin(self, role: Role, pin: bytes) -> None:
        """Check a PIN and change nothing but its counter."""
        with self._lock:
            self._check(role, pin)

    def change_pin(self, role: Role, old: bytes, new: bytes) -> None:
        """Replace a PIN by its owner (PKCS#11 3.2 §5.5.9)."""
        with self._lock:
            self._refuse_length(new)
            master = self._check(role, old)
            self._put_pin(role, PinRecord.seal(Lock.of(new), master, self._tries))

    def set_user_pin(self, new: bytes) -> None:
        """Set the user's PIN by the SO, who is logged in; unlocks it (PKCS#11 3.2 §5.5.8)."""
        with self._lock:
            self._refuse_length(new)
            if self._master is None:
                raise Refusal(CKR.USER_NOT_LOGGED_IN)
            self._put_pin(Role.USER, PinRecord.seal(Lock.of(new), self._master, self._tries))

    def initialise(self, so_pin: bytes, label: str) -> None:
        """Wipe the token and give it a label; the SO PIN is checked, or set if there is none.

        PKCS#11 3.2 §5.5.7. The user's PIN is gone with the objects.
        """
        with self._lock:
            if self.initialised:
                self._check(Role.SO, so_pin)
            else:
                self._refuse_length(so_pin)
            record = PinRecord.seal(
                Lock.of(so_pin), secrets.token_bytes(MASTER_LENGTH), self._tries
            )
            with self._store.change():
                self._store.wipe()
                self._store.put_pin(Role.SO, record)
                self._store.put_fact("label", label.encode())
            self._pins = {Role.SO: record}
            self._count_tries()
            self._public = Shelf()
            self._forget()
            self.label = label

    def _check(self, role: Role, pin: bytes) -> bytes:
        record = self._pins.get(role)
        if record is None:
            raise Refusal(CKR.USER_PIN_NOT_INITIALIZED, f"no {role.name} PIN is set")
        if record.locked:
            raise PinRefusal(CKR.PIN_LOCKED, 0)
        # The try is spent before the PIN is compared, so that cutting the power gains nothing.
        record = record.spent()
        self._put_pin(role, record)
        master = record.open(pin)
        if master is None:
            raise PinRefusal(CKR.PIN_INCORRECT, record.tries_left)
        self._put_pin(role, record.refreshed())
        return master

    def _put_pin(self, role: Role, record: PinRecord) -> None:
        with self._store.change():
            self._store.put_pin(role, record)
        self._pins[role] = record
        self._count_tries()

    def _count_tries(self) -> None:
        """Show in the hardware feature how many tries the PINs have; after each change of them."""
        counts = dict(_COUNTER)
        for role, left, most in (
            (Role.USER, USER_TRIES_LEFT, USER_TRIES),
            (Role.SO, SO_TRIES_LEFT, SO_TRIES),
        ):
            record = self._pins.get(role)
            if record is not None:
                counts[left] = number(record.tries_left)
                counts[most] = number(record.tries)
        self._counter.attributes = counts

    def _refuse_length(self, pin: bytes) -> None:
        if not self.identity.min_pin_length <= len(pin) <= self.identity.max_pin_length:
            raise Refusal(
                CKR.PIN_LEN_RANGE,
                f"{self.identity.min_pin_length} to {self.identity.max_pin_length} bytes",
            )

    # Objects

    def find(self, wanted: dict[int, bytes], *, private: bool) -> Iterator[Object]:
        """Give the objects on the token that match: public ones, with `private` the others too.

        Profile objects are for those who ask for them: a program that knows none takes what it
        finds for its own, and destroys it in the end. So do the OASIS test cases of the profiles
        find nothing on a fresh token.
        """
        yield from self._public.find(wanted)
        if private:
            yield from self._private.find(wanted)
        if wanted.get(CKA.CLASS) == _PROFILE or CKA.PROFILE_ID in wanted:
            yield from (obj for obj in self._profiles if obj.matches(wanted))

    @cached_property
    def _profiles(self) -> tuple[Object, ...]:
        """The profile objects, made when a program first looks: most keys are never asked."""
        return tuple(profiles(self.identity.without))

    def features(self) -> Iterator[Object]:
        """Give the hardware features, which only those see who ask for their class."""
        yield self._counter

    def keep(self, *objects: Object) -> None:
        """Put objects on the token, all of them or none."""
        with self._lock:
            with self._store.change():
                rows = [self._store.next_row() for _ in objects]
                for row, obj in zip(rows, objects, strict=True):
                    self._write(row, obj)
            for row, obj in zip(rows, objects, strict=True):
                self._shelf(obj).put(row, obj)

    def change(self, obj: Object, template: Template, *, as_so: bool = False) -> None:
        """Change attributes of an object, all of them or none (PKCS#11 3.2 §5.7.6)."""
        if not obj.flag(CKA.MODIFIABLE):
            raise Refusal(CKR.ACTION_PROHIBITED, "CKA_MODIFIABLE is false")
        with self._lock:
            attributes = amended(obj, template, as_so=as_so)
            if obj.row is None:
                obj.attributes = attributes
                return
            self._require_held(obj)
            with self._store.change():
                self._write(obj.row, Object(attributes, obj.table))
            self._shelf(obj).change(obj, attributes)

    def destroy(self, obj: Object) -> None:
        """Take an object off the token (PKCS#11 3.2 §5.7.3)."""
        if obj.row is None:
            return
        with self._lock:
            self._require_held(obj)
            with self._store.change():
                self._store.drop_object(obj.row)
            self._shelf(obj).take(obj.row)

    def holds(self, obj: Object) -> bool:
        """Tell whether a token object is still on the token and open."""
        return self._shelf(obj).holds(obj)

    def _require_held(self, obj: Object) -> None:
        """Refuse what another program has destroyed meanwhile; under the lock."""
        if not self.holds(obj):
            raise Refusal(CKR.OBJECT_HANDLE_INVALID, "it has been destroyed meanwhile")

    def _shelf(self, obj: Object) -> Shelf:
        return self._private if obj.private else self._public

    def _write(self, row: int, obj: Object) -> None:
        blob = pack_template(obj.attributes.items())
        if obj.private:
            blob = self._seal(row, blob)
        self._store.put_object(row, blob, private=obj.private)

    def _seal(self, row: int, blob: bytes) -> bytes:
        if self._master is None:
            raise Refusal(CKR.USER_NOT_LOGGED_IN)
        nonce = secrets.token_bytes(_NONCE_LENGTH)
        return nonce + AESGCM(self._master).encrypt(nonce, blob, str(row).encode())

    def _forget(self) -> None:
        self._master = None
        self._private = Shelf()
        self._users = dict.fromkeys(self._users, 0)


def _unseal(master: bytes, row: int, blob: bytes) -> bytes:
    nonce, body = blob[:_NONCE_LENGTH], blob[_NONCE_LENGTH:]
    try:
        return AESGCM(master).decrypt(nonce, body, str(row).encode())
    except InvalidTag:
        raise Refusal(CKR.DEVICE_ERROR, f"row {row} has been tampered with") from None


def _revive(blob: bytes) -> Object:
    attributes = dict(unpack_template(blob))
    return Object(attributes, table_of(attributes))

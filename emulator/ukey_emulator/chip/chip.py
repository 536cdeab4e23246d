"""The chip: one key, from its PINs to its objects."""

import secrets
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from ukey_emulator.profiles import MechanismFacts
from ukey_emulator.profiles.quirks import Quirk
from ukey_emulator.terms import CKA, CKF, CKO, CKR

from .copying import remember_factory
from .factory import LETTERBOX, Factory, put_letterbox, tries_of
from .guard import Guard
from .having import mechanisms_of
from .identity import facts_of, identity_of
from .letterbox import Letterbox, unseal
from .mechanisms import Mechanism
from .objects import Object, Shelf, Template, amended
from .objects.kinds import UNAVAILABLE, number, pack_template, unpack_template
from .objects.object import table_of
from .objects.profiles import profiles
from .pins import DEFAULT_PINS, MASTER_LENGTH, Lock, PinRecord, Role
from .refusal import Refusal
from .sealing import context_of, posted_of, sealed_of
from .store import OF_APPLETS, Faults, Sealed, Store, write

_PROFILE = number(CKO.PROFILE)


class Chip:
    """One key, open on its file.

    Objects that belong to sessions live outside; the chip keeps only those on the token. All
    methods may be called by many threads. `revision` is another number after each change of what
    is on the token, `era` after each wipe and once it is closed: with it all logins have ended.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.RLock()
        facts = self._store.facts()
        self.identity = identity_of(facts)
        self._mechanisms = mechanisms_of(self.identity)
        self.paced = bool(self.identity.timing)
        self._limits = self.identity.public_memory, self.identity.private_memory
        self._limited = self._limits != (None, None)
        self.label = facts.get("label", b"").decode()
        self.era = self.revision = 0
        self._tries = tries_of(facts)
        self._guard = Guard(self._store, self.identity, self._tries)
        self._letterbox = Letterbox.of(facts.get(LETTERBOX))
        self._applets = {
            name.removeprefix(OF_APPLETS): value
            for name, value in facts.items()
            if name.startswith(OF_APPLETS)
        }
        self._master: bytes | None = None
        self._users: dict[Role, int] = {Role.SO: 0, Role.USER: 0}
        self._public, self._private = Shelf(), Shelf()
        for row, blob in self._store.objects():
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
        profile: bytes = b"",
    ) -> "Chip":
        """Make a new key in a new file; without a factory it is not initialised yet.

        `profile` is what the key keeps of its profile, if it is not as ours are.
        """
        with closing(Store.draft(path)) as store:
            with store.change():
                for name, value in facts_of(serial, profile).items():
                    store.put_fact(name, value)
                store.put_fact("label", label.encode())
                if factory is not None:
                    factory.put_into(store)
            image = store.image()
        return cls.of(path, remember_factory(image), lasting=lasting)

    @classmethod
    def of(cls, path: Path, image: bytes, *, lasting: bool = True) -> "Chip":
        """Make a key of an image, in a new file: whole or not at all."""
        write(path, image, lasting=lasting)
        return cls.open(path, lasting=lasting)

    def image(self) -> bytes:
        """Give the key as its file holds it, between two changes; see `copying`."""
        return self._store.image()

    def beware(self, faults: Faults) -> None:
        """Have the steps of its changes go wrong as those faults say."""
        self._store.faults = faults

    def forget_logins(self) -> None:
        """Know nobody any more who has logged in."""
        with self._lock:
            self._forget()
            self.era += 1

    def close(self) -> None:
        """Close the file; the chip is dead afterwards."""
        with self._lock:
            self._forget()
            self.era += 1
            self.revision += 1
            self._store.close()

    # What there is room for

    def memory(self) -> tuple[int, int, int, int]:
        """Give total and free public memory, total and free private memory in bytes.

        CK_UNAVAILABLE_INFORMATION where there is no limit (PKCS#11 3.2 §3.2, CK_TOKEN_INFO).
        """
        public, private = self._store.room() if self._limited else (0, 0)
        return (
            *_room(self.identity.public_memory, public),
            *_room(self.identity.private_memory, private),
        )

    def _require_room(self) -> None:
        """Refuse a change that the memory cannot hold with CKR_DEVICE_MEMORY; inside it."""
        used = self._store.room()
        for limit, taken in zip(self._limits, used, strict=True):
            if limit is not None and taken > limit:
                raise Refusal(CKR.DEVICE_MEMORY, f"{taken} bytes, and there are {limit}")

    def require_unprotected(self) -> None:
        """Refuse to write on a key that is write-protected with CKR_TOKEN_WRITE_PROTECTED."""
        if self.identity.write_protected:
            raise Refusal(CKR.TOKEN_WRITE_PROTECTED)

    # Mechanisms

    def mechanisms(self) -> Iterator[Mechanism]:
        """Give the mechanisms that this key has."""
        yield from self._mechanisms.values()

    def listed(self) -> list[int]:
        """Give the mechanisms that this key lists, in its order."""
        return list(self.identity.listed or self._mechanisms)

    def mechanism(self, kind: int) -> Mechanism:
        """Give one of them; CKR_MECHANISM_INVALID if the key has it not."""
        try:
            return self._mechanisms[kind]
        except KeyError:
            raise Refusal(CKR.MECHANISM_INVALID, f"the key has no mechanism {kind:#x}") from None

    def told(self, kind: int) -> MechanismFacts:
        """Give what the key tells of one that it lists, else CKR_MECHANISM_INVALID."""
        for own, facts in self.identity.mechanisms:
            if own == kind:
                return facts
        if kind in self.identity.listed and kind not in self._mechanisms:
            return MechanismFacts((0, 0), 0)
        mechanism = self.mechanism(kind)
        return MechanismFacts(mechanism.sizes, mechanism.flags | CKF.HW)

    # PINs

    @property
    def initialised(self) -> bool:
        """Whether the token has been initialised, and so has an SO PIN."""
        return self._guard.record(Role.SO) is not None

    def pin(self, role: Role) -> PinRecord | None:
        """Give the record of a PIN, None if it is not set."""
        return self._guard.record(role)

    def log_in(self, role: Role, pin: bytes) -> int:
        """Check a PIN and open what it guards; each call wants one `log_out` with what it gave.

        PinRefusal with CKR_PIN_INCORRECT or CKR_PIN_LOCKED; CKR_USER_PIN_NOT_INITIALIZED.
        """
        with self._lock:
            master = self._guard.check(role, pin)
            if role is Role.USER and not self._users[role]:
                self._private = self._open_private(master)
            self._master = master
            self._users[role] += 1
            return self.era

    def _open_private(self, master: bytes) -> Shelf:
        """Open the private objects, and seal anew what lay in the letterbox or is old."""
        shelf, again = Shelf(), list[tuple[int, Object]]()
        if self._letterbox is not None:
            self._letterbox.unlock(master)
        for sealed in self._store.sealed():
            obj = _revive(self._unsealed(master, sealed))
            shelf.put(sealed.row, obj)
            if sealed.posted or sealed.outside is None:
                again.append((sealed.row, obj))
        if again or self._letterbox is None:
            letterbox = self._letterbox or Letterbox.make(master)
            with self._store.change():
                for row, obj in again:
                    self._store.put_sealed(sealed_of(row, obj, master))
                put_letterbox(self._store, letterbox)
            self._letterbox = letterbox
            self.revision += 1
        return shelf

    def _unsealed(self, master: bytes, sealed: Sealed) -> bytes:
        context = context_of(sealed.row, sealed.outside)
        if not sealed.posted:
            return unseal(master, context, sealed.blob)
        if self._letterbox is None:
            raise Refusal(CKR.DEVICE_ERROR, "there is a letter and no letterbox")
        return self._letterbox.open(master, context, sealed.blob)

    def log_out(self, role: Role, era: int) -> None:
        """Close what a `log_in` opened; with the last one the secrets leave the memory.

        Nothing is done for a login of an `era` that has ended.
        """
        with self._lock:
            if era != self.era:
                return
            self._users[role] -= 1
            if not self._users[Role.USER]:
                self._private = Shelf()
            if not any(self._users.values()):
                self._master = None

    def logins(self, role: Role) -> int:
        """Tell how many have logged in and not out again."""
        return self._users[role]

    def verify_pin(self, role: Role, pin: bytes) -> None:
        """Check a PIN and change nothing but its counter."""
        with self._lock:
            self._guard.check(role, pin)

    def change_pin(self, role: Role, old: bytes, new: bytes) -> None:
        """Replace a PIN by its owner (PKCS#11 3.2 §5.5.9)."""
        self.require_unprotected()
        with self._lock:
            self._guard.refuse_length(new)
            master = self._guard.check(role, old)
            self._guard.put({role: self._record(role, new, master)})

    def set_user_pin(self, new: bytes) -> None:
        """Set the user's PIN by the SO, who is logged in; unlocks it (PKCS#11 3.2 §5.5.8)."""
        self.require_unprotected()
        with self._lock:
            self._guard.refuse_length(new)
            self._guard.put({Role.USER: self._record(Role.USER, new, self._opened())})

    def unblock(self, so_pin: bytes, new: bytes) -> None:
        """Set the user's PIN by the SO's, which is checked; what a card calls its PUK does this."""
        self.require_unprotected()
        with self._lock:
            self._guard.refuse_length(new)
            master = self._guard.check(Role.SO, so_pin)
            self._guard.put({Role.USER: self._record(Role.USER, new, master)})

    def set_pin_tries(self, user: int, so: int) -> None:
        """Give the PINs so many tries and set both to their defaults, after a login."""
        self.require_unprotected()
        with self._lock:
            self._guard.put(_defaults(self._opened(), {Role.USER: user, Role.SO: so}))

    def initialise(self, so_pin: bytes, label: str) -> None:
        """Wipe the token and give it a label; the SO PIN is checked, or set if there is none.

        PKCS#11 3.2 §5.5.7. The user's PIN is gone with the objects.
        """
        self.require_unprotected()
        with self._lock:
            if self.initialised:
                self._guard.check(Role.SO, so_pin)
            else:
                self._guard.refuse_length(so_pin)
            master = secrets.token_bytes(MASTER_LENGTH)
            self._wipe(master, {Role.SO: self._record(Role.SO, so_pin, master)}, label)

    def reset_to_factory(self) -> None:
        """Wipe everything but serial number and label; both PINs have their defaults again."""
        self.require_unprotected()
        with self._lock:
            master = secrets.token_bytes(MASTER_LENGTH)
            self._wipe(master, _defaults(master, self._tries), self.label)

    def _wipe(self, master: bytes, pins: dict[Role, PinRecord], label: str) -> None:
        """Leave nothing but these PINs; whoever was logged in is so no longer."""
        letterbox = Letterbox.make(master)
        with self._store.change():
            self._store.wipe()
            self._guard.write(pins)
            self._store.put_fact("label", label.encode())
            put_letterbox(self._store, letterbox)
        self._guard.take(pins, only=True)
        self._public = Shelf()
        self._forget()
        self._letterbox = letterbox
        self._applets = {}
        self.label = label
        self.era += 1
        self.revision += 1

    def _record(self, role: Role, pin: bytes, master: bytes) -> PinRecord:
        return PinRecord.seal(Lock.of(pin), master, self._guard.tries(role))

    def _opened(self) -> bytes:
        """Give the master key; CKR_USER_NOT_LOGGED_IN while nobody has opened it."""
        if self._master is None:
            raise Refusal(CKR.USER_NOT_LOGGED_IN)
        return self._master

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
        if Quirk.NO_PROFILES in self.identity.quirks:
            return ()
        return tuple(profiles(self.identity.without))

    def features(self) -> Iterator[Object]:
        """Give the hardware features, which only those see who ask for their class."""
        yield self._guard.counter

    def outsides(self) -> list[Object]:
        """Give the private objects as everybody may know them: with few attributes, if at all."""
        found = []
        for row, outside in self._store.outsides():
            obj = _revive(outside)
            obj.row = row
            found.append(obj)
        return found

    def keep(self, *objects: Object) -> None:
        """Put objects on the token, all of them or none.

        CKR_USER_NOT_LOGGED_IN for a private one while no PIN has opened the token.
        """
        with self._lock:
            for obj in objects:
                if obj.private:
                    self._opened()
            self.exchange((), objects)

    def exchange(
        self,
        old: Iterable[Object],
        new: Collection[Object],
        noted: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        """Take objects off the token, put others there and note what an applet keeps: one change.

        The old ones may be what `outsides` gave. Private new ones go into the letterbox while no
        PIN has opened the token. CKR_USER_PIN_NOT_INITIALIZED if it has no PIN, and so nothing that
        they could be sealed with; CKR_USER_NOT_LOGGED_IN if it comes from before letterboxes.
        """
        self.require_unprotected()
        with self._lock:
            gone = [obj.row for obj in old if obj.row is not None]
            with self._store.change():
                placed = [(self._store.next_row(), obj) for obj in new]
                for row in gone:
                    self._store.drop_object(row)
                for row, obj in placed:
                    self._write(row, obj)
                for name, value in noted.items():
                    self._store.put_fact(OF_APPLETS + name, value)
                if self._limited and placed:
                    self._require_room()
            for row in gone:
                self._public.take(row)
                self._private.take(row)
            for row, obj in placed:
                if not obj.private or self._users[Role.USER]:
                    self._shelf(obj).put(row, obj)
            self._applets.update(noted)
            self.revision += 1

    def noted(self, name: str) -> bytes | None:
        """Give what an applet has noted under a name; it is gone when the token is wiped."""
        return self._applets.get(name)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Keep all others from changing the key meanwhile."""
        with self._lock:
            yield

    def change(self, obj: Object, template: Template, *, as_so: bool = False) -> None:
        """Change attributes of an object, all of them or none (PKCS#11 3.2 §5.7.6)."""
        if not obj.flag(CKA.MODIFIABLE):
            raise Refusal(CKR.ACTION_PROHIBITED, "CKA_MODIFIABLE is false")
        with self._lock:
            attributes = amended(obj, template, as_so=as_so)
            if obj.row is None:
                obj.attributes = attributes
                return
            self.require_unprotected()
            self._require_held(obj)
            with self._store.change():
                self._write(obj.row, Object(attributes, obj.table))
                if self._limited:
                    self._require_room()
            self._shelf(obj).change(obj, attributes)
            self.revision += 1

    def destroy(self, obj: Object) -> None:
        """Take an object off the token (PKCS#11 3.2 §5.7.3)."""
        if obj.row is None:
            return
        self.require_unprotected()
        with self._lock:
            self._require_held(obj)
            with self._store.change():
                self._store.drop_object(obj.row)
            self._shelf(obj).take(obj.row)
            self.revision += 1

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
        if not obj.private:
            self._store.put_object(row, pack_template(obj.attributes.items()))
        elif self._master is not None:
            self._store.put_sealed(sealed_of(row, obj, self._master))
        elif self._letterbox is not None:
            self._store.put_sealed(posted_of(row, obj, self._letterbox))
        elif self.initialised:
            raise Refusal(
                CKR.USER_NOT_LOGGED_IN, "an old file has no letterbox till the first login"
            )
        else:
            raise Refusal(CKR.USER_PIN_NOT_INITIALIZED, "the token has no PIN yet")

    def _forget(self) -> None:
        self._master = None
        self._private = Shelf()
        self._users = dict.fromkeys(self._users, 0)


def _room(limit: int | None, used: int) -> tuple[int, int]:
    return (UNAVAILABLE, UNAVAILABLE) if limit is None else (limit, max(0, limit - used))


def _defaults(master: bytes, tries: Mapping[Role, int]) -> dict[Role, PinRecord]:
    """Give the PINs as they are by default, with so many tries."""
    return {
        role: PinRecord.seal(Lock.of(DEFAULT_PINS[role]), master, count)
        for role, count in tries.items()
    }


def _revive(blob: bytes) -> Object:
    attributes = dict(unpack_template(blob))
    return Object(attributes, table_of(attributes))

"""The slots for key pairs, over the objects of the chip: one key, two faces (README.md)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from ukey_emulator.card.status import SW, CardRefusal
from ukey_emulator.chip import Chip, keys, making
from ukey_emulator.chip.objects import Object
from ukey_emulator.chip.objects.kinds import as_number, number
from ukey_emulator.terms import CKA, CKO

from . import places, templates
from .held import Algorithm, Held, PinPolicy, PrivateKey, TouchPolicy
from .places import Place, Table, info_of
from .sight import TABLE, Loaded, Sight, require_destroyable

__all__ = ["Algorithm", "Containers", "Held", "PinPolicy", "TouchPolicy"]

_HEADER = 2  # the bytes before an object identifier's own in its DER


class Containers:
    """The slots for key pairs with their certificates.

    What is told of them needs no PIN. Whether this card may use or change them now is not asked
    here: that is the application's security status.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._sight: Sight | None = None
        self._loaded: dict[bytes, Loaded | None] = {}

    # Keys

    def held(self, slot: int) -> Held | None:
        """Tell of the key in a slot, None if there is none."""
        with self._chip.undisturbed():
            sight = self._look()
            key = sight.key(slot)
            loaded = key and sight.loaded[info_of(key)]
            if key is None or not loaded:
                return None
            touch = sight.table[slot].touch
            algorithm, public = loaded
            return Held(slot, algorithm, _pin_policy(key), touch, _stayed(key), public)

    def private(self, slot: int) -> Object:
        """Give the private key in a slot, loaded.

        CardRefusal with 6A88 if there is none, 6982 while no PIN has opened the token.
        """
        with self._chip.undisturbed():
            key = self._look().key(slot)
            if key is None:
                raise CardRefusal(SW.REFERENCED_DATA_NOT_FOUND, f"no key in {slot:02X}")
            key = self.opened(key)
        keys.load(key)
        return key

    def put(
        self,
        slot: int,
        algorithm: Algorithm,
        private_key: PrivateKey,
        pin_policy: PinPolicy,
        touch_policy: TouchPolicy,
        *,
        generated: bool,
    ) -> Held:
        """Put a key pair into a slot in place of the one that was there; its certificate stays.

        6985 if the one that was there may not be destroyed; 6A80 where this token has no mechanism
        to generate such a key; CKR_USER_PIN_NOT_INITIALIZED where the key wants a PIN and the token
        has none yet.
        """
        with self._chip.undisturbed():
            sight = self._look()
            ident = sight.ident(slot)
            pair = making.adopt(
                private_key,
                templates.public_key(slot, algorithm, ident),
                templates.private_key(slot, algorithm, ident, pin_policy),
                generated=generated,
            )
            made_by = as_number(pair[1].attributes[CKA.KEY_GEN_MECHANISM])
            if made_by in self._chip.identity.without:
                raise CardRefusal(SW.INCORRECT_DATA, f"the token is without {algorithm.name}")
            name = pair[1].attributes[CKA.UNIQUE_ID]
            table = {**sight.table, slot: Place(ident, name, touch_policy)}
            self._exchange(sight.pair(slot), pair, table)
            held = self.held(slot)
        assert held is not None  # noqa: S101 - it has just been put there
        return held

    def move(self, source: int, target: int) -> None:
        """Move a key with its certificate to a free slot.

        6A88 if there is no key, 6985 if the other slot is not free.
        """
        with self._chip.undisturbed():
            sight = self._look()
            if sight.key(source) is None:
                raise CardRefusal(SW.REFERENCED_DATA_NOT_FOUND, f"no key in {source:02X}")
            if target in sight.table:
                raise CardRefusal(SW.CONDITIONS_NOT_SATISFIED, f"{target:02X} is not free")
            table = dict(sight.table)
            table[target] = replace(table.pop(source), fixed=True)
            self._exchange((), (), table)

    def delete(self, slot: int) -> None:
        """Delete the key in a slot; its certificate stays.

        6A88 if there is none, 6985 if it may not be destroyed.
        """
        with self._chip.undisturbed():
            sight = self._look()
            if sight.key(slot) is None:
                raise CardRefusal(SW.REFERENCED_DATA_NOT_FOUND, f"no key in {slot:02X}")
            self._exchange(sight.pair(slot), (), sight.table)

    # Certificates

    def certificate(self, slot: int) -> Object | None:
        """Give the certificate in a slot, None if there is none; of several the best.

        It may be a sealed one, which `opened` opens.
        """
        with self._chip.undisturbed():
            found = self._look().certificates(slot)
            return found[-1] if found else None

    def certified(self) -> list[int]:
        """Give the slots that hold a certificate."""
        with self._chip.undisturbed():
            sight = self._look()
            return [slot for slot in sight.table if sight.certificates(slot)]

    def put_certificate(
        self,
        slot: int,
        subject: bytes,
        value: bytes,
        gone: Iterable[Object],
        noted: Mapping[str, bytes],
    ) -> bool:
        """Put a certificate into a slot in place of those that were there, and of what is `gone`.

        `value` is its DER, `subject` that of its subject, `noted` what is to be noted with it. Give
        whether it would be seen there: where the key has no CKA_ID or one that other keys have,
        only its own certificates are, and nothing is done for others. 6985 if one that was there
        may not be destroyed.
        """
        with self._chip.undisturbed():
            sight = self._look()
            place = sight.table.get(slot) or Place(sight.ident(slot), b"")
            new = making.create(templates.certificate(slot, place.ident, subject, value))
            table = {**sight.table, slot: place}
            if slot not in sight.slots_of(new, table):
                return False
            self._exchange((*sight.certificates(slot), *gone), (new,), table, noted)
            return True

    # Objects

    def data(self, identifier: bytes) -> list[Object]:
        """Give the data objects with this CKA_OBJECT_ID, the oldest first; some may be sealed.

        It is DER (PKCS#11 3.2 §4.5), but OpenSC leaves the header of the DER out.
        """
        found: list[Object] = []
        with self._chip.undisturbed():
            for form in (identifier, identifier[_HEADER:]):
                wanted: dict[int, bytes] = {CKA.CLASS: number(CKO.DATA), CKA.OBJECT_ID: form}
                found += self._chip.find(wanted, private=False)
                found += (obj for obj in self._look().sealed_data if obj.matches(wanted))
        return sorted(found, key=lambda obj: obj.row or 0)

    def exchange(
        self, old: Collection[Object], new: Collection[Object], certificates_of: int | None
    ) -> None:
        """Put objects on the token in place of others, and of the certificates in a slot.

        6985 if one of those may not be destroyed.
        """
        with self._chip.undisturbed():
            sight = self._look()
            gone = () if certificates_of is None else sight.certificates(certificates_of)
            self._exchange((*gone, *old), new, sight.table)

    def opened(self, obj: Object) -> Object:
        """Give an object with all its attributes; 6982 while no PIN has opened the token."""
        if not obj.private:
            return obj
        name: dict[int, bytes] = {CKA.UNIQUE_ID: obj.attributes[CKA.UNIQUE_ID]}
        found = next(self._chip.find(name, private=True), None)
        if found is None:
            raise CardRefusal(SW.SECURITY_STATUS_NOT_SATISFIED, "no PIN has opened it")
        return found

    def _look(self) -> Sight:
        """See what is on the token now, and let new keys keep the places that they have got."""
        sight = self._sight
        if sight is None or sight.revision != self._chip.revision:
            sight = Sight(self._chip, self._loaded)
            if sight.table != sight.former:
                self._chip.exchange((), (), {TABLE: places.pack(sight.table)})
                sight.revision = self._chip.revision
            self._sight, self._loaded = sight, sight.loaded
        return sight

    def _exchange(
        self,
        old: Collection[Object],
        new: Collection[Object],
        table: Table,
        noted: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        require_destroyable(old)
        self._chip.exchange(old, new, {TABLE: places.pack(table), **noted})


def _stayed(key: Object) -> bool:
    """Tell whether a key was made here and has never been elsewhere, nor could have been."""
    return all(map(key.flag, (CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE)))


def _pin_policy(key: Object) -> PinPolicy:
    if not key.private:
        return PinPolicy.NEVER
    return PinPolicy.ALWAYS if key.flag(CKA.ALWAYS_AUTHENTICATE) else PinPolicy.ONCE

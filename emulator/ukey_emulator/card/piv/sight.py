"""What of the token is seen through the slots, at one revision of it."""

import secrets
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from itertools import chain

from cryptography.hazmat.primitives.serialization import load_der_public_key

from ukey_emulator.card.status import SW, CardRefusal
from ukey_emulator.chip import Chip
from ukey_emulator.chip.objects import Object
from ukey_emulator.chip.objects.kinds import number
from ukey_emulator.terms import CKA, CKC, CKO

from . import places
from .held import SLOTS, Algorithm, PublicKey
from .places import Table, ident_of, info_of

TABLE = "piv slots"
"""The note that holds the table of slots."""

Loaded = tuple[Algorithm, PublicKey]


class Sight:
    """Keys and certificates of a token, sealed ones with few attributes, and their places.

    `table` holds the places at `revision`, in which keys that are new may just have got theirs;
    `former` is the one before. `sealed_data` are the private data objects, without their values.
    """

    def __init__(self, chip: Chip, known: dict[bytes, Loaded | None]) -> None:
        """Look at a token that nobody changes meanwhile.

        `known` are public keys that have been loaded before, by their CKA_PUBLIC_KEY_INFO.
        """
        sealed = chip.outsides()
        self.revision = chip.revision
        self.sealed_data = [obj for obj in sealed if obj.kind == CKO.DATA]
        self._public = list(filter(info_of, _of_kind(chip, sealed, CKO.PUBLIC_KEY)))
        private = list(filter(info_of, _of_kind(chip, sealed, CKO.PRIVATE_KEY)))
        self._private = {key.attributes[CKA.UNIQUE_ID]: key for key in private}
        self._certificates = [
            obj
            for obj in _of_kind(chip, sealed, CKO.CERTIFICATE)
            if obj.attributes[CKA.CERTIFICATE_TYPE] == number(CKC.X_509)
        ]
        self.loaded = {info: known.get(info) or _load(info) for info in map(info_of, private)}
        self.former = places.unpack(chip.noted(TABLE))
        self.table: Table = places.settle(
            self.former,
            [key for key in private if self.loaded[info_of(key)]],
            {ident_of(obj) for obj in self._certificates} - {b""},
        )

    def key(self, slot: int) -> Object | None:
        """Give the private key in a slot."""
        place = self.table.get(slot)
        return self._private.get(place.key) if place else None

    def pair(self, slot: int) -> list[Object]:
        """Give all objects of the key in a slot: both halves, and what copies there are."""
        key = self.key(slot)
        keys = chain(self._private.values(), self._public)
        return [obj for obj in keys if key and info_of(obj) == info_of(key)]

    def certificates(self, slot: int) -> list[Object]:
        """Give the certificates in a slot.

        The best stands last: one of its public key, and of these the newest.
        """
        key = self.key(slot)
        own = info_of(key) if key else b""
        return sorted(self._by_slot.get(slot, ()), key=lambda obj: info_of(obj) == own)

    @cached_property
    def _by_slot(self) -> dict[int, list[Object]]:
        found: dict[int, list[Object]] = {}
        for obj in self._certificates:
            for slot in self.slots_of(obj, self.table):
                found.setdefault(slot, []).append(obj)
        return found

    def slots_of(self, certificate: Object, table: Table) -> list[int]:
        """Give the slots of a table that a certificate is in: those of its CKA_ID.

        If there are several, or none, it is in the one with its public key.
        """
        ident, info = ident_of(certificate), info_of(certificate)
        named = [slot for slot, place in table.items() if ident and place.ident == ident]
        certified = [
            slot
            for slot in named or table
            if info and table[slot].key and info_of(self._private[table[slot].key]) == info
        ]
        return certified or named

    def ident(self, slot: int) -> bytes:
        """Give the CKA_ID for what comes into a slot: the slot's, or else its number if free."""
        place = self.table.get(slot)
        if place is not None and place.ident:
            return place.ident
        usual = bytes([SLOTS.index(slot) + 1])
        everything = chain(self._private.values(), self._public, self._certificates)
        return secrets.token_bytes(20) if usual in map(ident_of, everything) else usual


def require_destroyable(objects: Iterable[Object]) -> None:
    """Refuse with 6985 to take away what has CKA_DESTROYABLE false."""
    if not all(obj.flag(CKA.DESTROYABLE) for obj in objects):
        raise CardRefusal(SW.CONDITIONS_NOT_SATISFIED, "CKA_DESTROYABLE is false")


def _of_kind(chip: Chip, sealed: Collection[Object], kind: CKO) -> Iterator[Object]:
    """Give the objects of a class, public and sealed ones, the oldest first."""
    found = chip.find({CKA.CLASS: number(kind)}, private=False)
    yield from sorted(
        chain(found, (obj for obj in sealed if obj.kind == kind)), key=lambda obj: obj.row or 0
    )


def _load(info: bytes) -> Loaded | None:
    """Load a public key, None if PIV has no algorithm for it."""
    try:
        public = load_der_public_key(info)
    except Exception:  # noqa: BLE001 - the library raises what it likes for keys it does not know
        return None
    algorithm = Algorithm.of(public)
    return None if algorithm is None else (algorithm, public)  # type: ignore[return-value]

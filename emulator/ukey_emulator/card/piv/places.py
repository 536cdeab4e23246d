"""Which key stands in which slot: the table, and how keys made elsewhere find their places."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from ukey_emulator.chip.objects import Object
from ukey_emulator.terms import CKA

from .held import (
    AUTHENTICATION,
    CARD_AUTHENTICATION,
    KEY_MANAGEMENT,
    RETIRED,
    SIGNATURE,
    TouchPolicy,
)


@dataclass(frozen=True, slots=True)
class Place:
    """What stands in a slot: `ident` is the CKA_ID of key and certificate.

    `key` is the CKA_UNIQUE_ID of the private key, empty where there is only a certificate. What a
    card has put there is `fixed`; what was found on the token may still find a better slot.
    """

    ident: bytes
    key: bytes
    touch: TouchPolicy = TouchPolicy.NEVER
    fixed: bool = True


Table = dict[int, Place]


def pack(table: Table) -> bytes:
    """Write a table as it is stored."""
    plain = {
        f"{slot:02X}": [place.ident.hex(), place.key.decode(), place.touch, place.fixed]
        for slot, place in table.items()
    }
    return json.dumps(plain).encode()


def unpack(data: bytes | None) -> Table:
    """Read what `pack` has written; nothing stands anywhere if nothing was."""
    return {
        int(slot, 16): Place(bytes.fromhex(ident), key.encode(), TouchPolicy(touch), fixed)
        for slot, (ident, key, touch, fixed) in json.loads(data or b"{}").items()
    }


def settle(table: Table, keys: Collection[Object], certified: Collection[bytes]) -> Table:
    """Give the table for the private keys that there are now, the oldest first.

    Whose key is gone and no certificate of its CKA_ID (`certified`) there any more, loses its
    place. What was found on the token goes up to a slot that suits it better and is free now: so
    does a renewed key take the place of the old one, once that is gone. New keys go where a
    certificate of their CKA_ID waits, or to the first free slot that suits them; they are not
    shown if there is none, and the same key is shown but once.
    """
    by_name = {key.attributes[CKA.UNIQUE_ID]: key for key in keys}
    settled: Table = {}
    for taken, place in table.items():
        key = by_name.get(place.key)
        now = replace(place, key=b"") if key is None else replace(place, ident=ident_of(key))
        if key is not None or now.ident in certified:
            settled[taken] = now
    # A key that came by its certificate may have left a slot to another that it suits better.
    before = None
    while settled != before:
        before = dict(settled)
        _promote(settled, by_name)
        _admit(settled, by_name)
    return settled


def _admit(table: Table, by_name: dict[bytes, Object]) -> None:
    """Give new keys their places, the oldest first."""
    shown = {info_of(by_name[place.key]) for place in table.values() if place.key}
    for name, key in by_name.items():
        if info_of(key) in shown:
            continue
        slot = _waiting(table, ident_of(key)) or _free(table, _suitable(key))
        if slot is not None:
            fixed = slot in table and table[slot].fixed
            table[slot] = Place(ident_of(key), name, fixed=fixed)
            shown.add(info_of(key))


def _promote(table: Table, by_name: dict[bytes, Object]) -> None:
    """Let keys go up to slots that suit them better, the oldest first; all retired are alike."""
    slots = {place.key: slot for slot, place in table.items() if place.key and not place.fixed}
    for name, key in by_name.items():
        if name not in slots:
            continue
        better = [slot for slot in _suitable(key) if slot not in RETIRED]
        if slots[name] in better:
            better = better[: better.index(slots[name])]
        slot = _free(table, better)
        if slot is not None:
            table[slot] = table.pop(slots[name])


def _suitable(key: Object) -> tuple[int, ...]:
    """Give the slots that suit a key, the best first.

    Programs take what they may do with a key from its slot: they sign with 9A and 9C, and give the
    PIN each time for 9C alone; for 9D and the retired ones they know only deciphering.
    """
    if key.flag(CKA.ALWAYS_AUTHENTICATE):
        return SIGNATURE, AUTHENTICATION, *RETIRED
    if not key.private:
        return CARD_AUTHENTICATION, *RETIRED
    if key.flag(CKA.SIGN):
        return AUTHENTICATION, SIGNATURE, *RETIRED
    return KEY_MANAGEMENT, *RETIRED


def _waiting(table: Table, ident: bytes) -> int | None:
    """Give the slot where a certificate waits for the key of its CKA_ID."""
    return next(
        (slot for slot, place in table.items() if ident and place.ident == ident and not place.key),
        None,
    )


def _free(table: Table, slots: Iterable[int]) -> int | None:
    return next((slot for slot in slots if slot not in table), None)


def ident_of(obj: Object) -> bytes:
    """Give the CKA_ID of a key or certificate, empty if it has none."""
    return obj.attributes.get(CKA.ID, b"")


def info_of(obj: Object) -> bytes:
    """Give the CKA_PUBLIC_KEY_INFO of a key or certificate, empty if it has none."""
    return obj.attributes.get(CKA.PUBLIC_KEY_INFO, b"")

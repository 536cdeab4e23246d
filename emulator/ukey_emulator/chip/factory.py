"""How fresh keys leave the factory: with PINs, their tries, and a letterbox."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from .letterbox import Letterbox, Pair
from .pins import MASTER_LENGTH, Lock, PinRecord, Role
from .store import Store

LETTERBOX = "letterbox"
_TRIES = "tries"


@dataclass(frozen=True, slots=True)
class Factory:
    """How fresh keys leave the factory: with the same PINs and the same pair for the letterbox.

    Both cost more than all else of a key and so are made only once. A token that is initialised or
    wiped has its own.
    """

    locks: Mapping[Role, Lock]
    tries: Mapping[Role, int]
    left: Mapping[Role, int]
    pair: Pair

    @classmethod
    def of(
        cls,
        pin: bytes,
        so_pin: bytes,
        tries: int,
        so_tries: int | None = None,
        left: Mapping[Role, int] = MappingProxyType({}),
    ) -> "Factory":
        """Prepare to make keys with these PINs and that many tries for each.

        The SO PIN has as many as the user's if nothing else is said; of those whose role stands in
        `left` only so many are left.
        """
        locks = {Role.USER: Lock.of(pin), Role.SO: Lock.of(so_pin)}
        tried = {Role.USER: tries, Role.SO: tries if so_tries is None else so_tries}
        return cls(locks, tried, {**tried, **left}, Pair.make())

    def put_into(self, store: Store) -> None:
        """Write PINs, tries and letterbox of a fresh key; inside a change."""
        master = secrets.token_bytes(MASTER_LENGTH)
        store.put_fact(_TRIES, b"%d %d" % (self.tries[Role.USER], self.tries[Role.SO]))
        put_letterbox(store, Letterbox.make(master, self.pair))
        for role, lock in self.locks.items():
            record = PinRecord.seal(lock, master, self.tries[role])
            store.put_pin(role, replace(record, tries_left=self.left[role]))


def tries_of(facts: Mapping[str, bytes]) -> dict[Role, int]:
    """Read how many tries the user's PIN and the SO's have; older files have one number of both."""
    user, *so = map(int, facts.get(_TRIES, b"10").split())
    return {Role.USER: user, Role.SO: so[0] if so else user}


def put_letterbox(store: Store, letterbox: Letterbox) -> None:
    """Write the letterbox; inside a change."""
    store.put_fact(LETTERBOX, letterbox.public + letterbox.private)

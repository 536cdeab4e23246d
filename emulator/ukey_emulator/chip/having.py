"""Which mechanisms a key has: all that there are, or what its profile leaves of them."""

from collections.abc import Mapping
from copy import copy
from functools import lru_cache

from ukey_emulator.profiles import Identity, MechanismFacts

from .mechanisms import MECHANISMS, Mechanism


def mechanisms_of(identity: Identity) -> Mapping[int, Mechanism]:
    """Give the mechanisms of a key; those that its profile tells of do no more than it says."""
    if not identity.without and not identity.mechanisms:
        return MECHANISMS
    return _left(identity.without, identity.mechanisms)


@lru_cache(maxsize=64)
def _left(
    without: frozenset[int], told: tuple[tuple[int, MechanismFacts], ...]
) -> dict[int, Mechanism]:
    own = dict(told)
    return {
        kind: _as_told(mechanism, own[kind]) if kind in own else mechanism
        for kind, mechanism in MECHANISMS.items()
        if kind not in without
    }


def _as_told(mechanism: Mechanism, facts: MechanismFacts) -> Mechanism:
    """Give the same mechanism, with only those of its uses and sizes that are told of."""
    narrowed = copy(mechanism)
    narrowed.flags &= facts.flags
    narrowed.sizes = facts.sizes
    narrowed.limited = facts.sizes != mechanism.sizes
    return narrowed

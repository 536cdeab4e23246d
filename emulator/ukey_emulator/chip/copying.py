"""Copies of a key: another key with the same on it, and a key put back to what it was.

A copy is the image of a key's file. What the key *is*, its serial number and how it looks as a
device, belongs to the key and not to what is on it: no copy brings that to a key that there is.
"""

import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from ukey_emulator.profiles import Identity

from .identity import NAMES, facts_of, identity_of
from .store import Store

_FACTORY = "factory"
_Facts = Mapping[str, bytes] | Mapping[str, bytes | None]


def remember_factory(image: bytes) -> bytes:
    """Give the image of a fresh key with itself in it, for `factory_of` to find later."""
    return _amended(image, lambda _: {_FACTORY: zlib.compress(image, 1)})


def of_profile(image: bytes, profile: bytes) -> bytes:
    """Give the image of a key as one of a profile, which remembers no factory yet."""
    return _amended(image, lambda _: {**facts_of("", profile), _FACTORY: None})


def factory_of(image: bytes) -> bytes | None:
    """Give what the key was as it left the factory; None if it comes from before that was kept."""
    with closing(Store.draft(Path("a key's copy"), image)) as store:
        factory = store.facts().get(_FACTORY)
    return None if factory is None else remember_factory(zlib.decompress(factory))


def another(image: bytes, draw: Callable[[Identity], str], label: str | None = None) -> bytes:
    """Give the image for another key, with the serial number that is drawn for such a key.

    The label stays if none is given, and where the token is not initialised, which has none.
    """

    def facts(there: Mapping[str, bytes]) -> dict[str, bytes]:
        return facts_of(draw(identity_of(there)))

    return _amended(image, facts, label)


def put_back(path: Path, image: bytes, *, lasting: bool = True) -> None:
    """Have the key in a file hold what an image holds, in one change; it stays the same device.

    Nobody may have the key open meanwhile. Refused as the Store does, and nothing is changed then.
    """
    with closing(Store(path, lasting=lasting)) as store:
        facts = store.facts()
        device = {name: facts.get(name) for name in NAMES}
        store.become(_amended(image, lambda _: device))


def _amended(
    image: bytes, facts: Callable[[Mapping[str, bytes]], _Facts], label: str | None = None
) -> bytes:
    """Give an image with other facts than those there are; those that are None are not in it."""
    with closing(Store.draft(Path("a key's copy"), image)) as store:
        amended = facts(store.facts())
        with store.change():
            for name, value in amended.items():
                if value is None:
                    store.drop_fact(name)
                else:
                    store.put_fact(name, value)
            if label is not None and store.pins():
                store.put_fact("label", label.encode())
        return store.image()

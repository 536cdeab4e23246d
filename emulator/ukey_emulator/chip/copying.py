"""Copies of a key: another key with the same on it, and a key put back to what it was.

A copy is the image of a key's file. What the key *is*, its serial number and how it looks as a
device, belongs to the key and not to what is on it: no copy brings that to a key that there is.
"""

import zlib
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from .store import Store

_DEVICE = ("serial", "without", "reader", "atr", "management", "bare")
_FACTORY = "factory"


def remember_factory(image: bytes) -> bytes:
    """Give the image of a fresh key with itself in it, for `factory_of` to find later."""
    return _amended(image, {_FACTORY: zlib.compress(image, 1)})


def factory_of(image: bytes) -> bytes | None:
    """Give what the key was as it left the factory; None if it comes from before that was kept."""
    with closing(Store.draft(Path("a key's copy"), image)) as store:
        factory = store.facts().get(_FACTORY)
    return None if factory is None else remember_factory(zlib.decompress(factory))


def another(image: bytes, serial: str, label: str | None = None) -> bytes:
    """Give the image for another key, with a serial number of its own.

    The label stays if none is given, and where the token is not initialised, which has none.
    """
    return _amended(image, {"serial": serial.encode()}, label)


def put_back(path: Path, image: bytes, *, lasting: bool = True) -> None:
    """Have the key in a file hold what an image holds, in one change; it stays the same device.

    Nobody may have the key open meanwhile. Refused as the Store does, and nothing is changed then.
    """
    with closing(Store(path, lasting=lasting)) as store:
        facts = store.facts()
        device = {name: facts.get(name) for name in _DEVICE}
        store.become(_amended(image, device))


def _amended(image: bytes, facts: Mapping[str, bytes | None], label: str | None = None) -> bytes:
    """Give an image with other facts; those that are None are not in it."""
    with closing(Store.draft(Path("a key's copy"), image)) as store:
        with store.change():
            for name, value in facts.items():
                if value is None:
                    store.drop_fact(name)
                else:
                    store.put_fact(name, value)
            if label is not None and store.pins():
                store.put_fact("label", label.encode())
        return store.image()

"""Private objects as the store keeps them: sealed, with what stands outside on them."""

from .letterbox import Letterbox, seal
from .objects import Object
from .objects.kinds import pack_template
from .outside import outside_of
from .store import Sealed


def sealed_of(row: int, obj: Object, master: bytes) -> Sealed:
    """Seal an object for its row with the master key."""
    outside = outside_of(obj)
    blob = seal(master, context_of(row, outside), pack_template(obj.attributes.items()))
    return Sealed(row, blob, outside, posted=False)


def posted_of(row: int, obj: Object, letterbox: Letterbox) -> Sealed:
    """Put an object into the letterbox, for its row, while there is no master key."""
    outside = outside_of(obj)
    blob = letterbox.post(context_of(row, outside), pack_template(obj.attributes.items()))
    return Sealed(row, blob, outside, posted=True)


def context_of(row: int, outside: bytes | None) -> bytes:
    """Give what a seal binds: nobody can take a blob to another row, or write outside on it."""
    return str(row).encode() if outside is None else b"%d:%b" % (row, outside)

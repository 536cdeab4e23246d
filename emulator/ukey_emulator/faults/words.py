"""The words of fault plans: what there is to name, and what is close to a word that is not."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WRITES = ("write-fact", "write-pin", "write-object", "drop-fact", "drop-object", "wipe")

STEPS: Mapping[str, tuple[str, ...]] = {
    "begin": ("begin",),
    "write": _WRITES,
    **{write: (write,) for write in _WRITES},
    "commit": ("commit",),
    "committed": ("committed",),
}
"""The steps of the store, and for each those that it stands for.

Each is met before it is done, but for `committed`: that is when the change is in the file for good,
and nobody has been told yet. `write` is any statement that changes something.
"""


@dataclass(frozen=True, slots=True)
class FunctionWords:
    """What a plan has to know of a function.

    Whether it concerns one key, has outputs, works with a mechanism; one that is `local` is
    answered inside the program and never comes to a rack.
    """

    keyed: bool = True
    outputs: bool = False
    mechanism: bool = False
    local: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """What a plan may name besides the store's steps.

    `functions` are those of PKCS#11, `commands` those of cards with their instruction byte.
    """

    functions: Mapping[str, FunctionWords]
    commands: Mapping[str, int]


def there_are(name: str, known: Iterable[str], most: int = 16) -> str:
    """Say what there is instead of a name that there is not: what is close to it, or else all."""
    names = list(known)
    folded = {each.casefold(): each for each in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=5)
    if close:
        return f"close to it are: {', '.join(folded[each] for each in close)}"
    shown = ", ".join(names[:most])
    return f"there are: {shown or 'none'}" + (", …" if len(names) > most else "")

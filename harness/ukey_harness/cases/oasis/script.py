"""A test case as typed calls: what is given to each, and what it is said to return."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Symbol:
    """A value that stands in the case by a name only: ${Session}, ${SlotList.SlotID[0]}."""

    path: str

    def __str__(self) -> str:
        return f"${{{self.path}}}"


PIN = Symbol("Pin")  # the one symbol that no response gives: the user's PIN of the token

# Numbers, flags and names of the standard are whole numbers, versions pairs, hexadecimal bytes.
Value: TypeAlias = bool | int | bytes | str | tuple[int, int] | Symbol


@dataclass(frozen=True)
class Item:
    """One element of a request or a response.

    kind: the type of an attribute; value, length: None where the element has none; written: the
    value as it stands in the file.
    """

    name: str
    line: int
    value: Value | None = None
    length: int | Symbol | None = None
    kind: int = 0
    written: str = ""
    items: tuple["Item", ...] = ()

    def __iter__(self) -> Iterator["Item"]:
        return iter(self.items)


@dataclass(frozen=True)
class Step:
    """A request and the response to it; function and rv without C_ and CKR_."""

    function: str
    line: int
    given: dict[str, Item]
    rv: str
    told: dict[str, Item]


@dataclass(frozen=True)
class Script:
    """A whole test case: its id and its steps, in order."""

    id: str
    file: str
    steps: tuple[Step, ...]

    @property
    def version(self) -> tuple[int, int] | None:
        """The version of the standard that the case is written for, by its C_GetInfo."""
        for step in self.steps:
            for item in step.told.get("Info", ()):
                if item.name == "CryptokiVersion" and isinstance(item.value, tuple):
                    return item.value
        return None

    @property
    def logs_in(self) -> bool:
        """Whether it needs the user's PIN."""
        return any(step.function == "Login" for step in self.steps)

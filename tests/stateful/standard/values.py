"""Arguments and answers of calls, as plain values: the model and the applications share them."""

from dataclasses import dataclass, field
from typing import Any


def words(text: str) -> list[str]:
    """Return the names in a text."""
    return text.split()


UNAVAILABLE = 2**64 - 1  # CK_UNAVAILABLE_INFORMATION (§3.1)


@dataclass(frozen=True)
class Null:
    """A NULL pointer to data that claims a length."""

    length: int


@dataclass(frozen=True)
class Out:
    """A buffer for output and its length (§5.2).

    capacity: None is a NULL buffer, which asks for the length; `asked` is False where the pointer
    to the length is NULL.
    """

    capacity: int | None = 4096
    asked: bool = True


@dataclass(frozen=True)
class Cell:
    """A pointer to one CK_ULONG for the answer, or NULL."""

    asked: bool = True


@dataclass(frozen=True)
class Handles:
    """Room for so many handles, and a count."""

    room: int


@dataclass(frozen=True)
class Template:
    """Attributes by their names without CKA_: truth values, numbers, bytes; None has no value."""

    pairs: tuple[tuple[str, Any], ...] = ()

    @property
    def values(self) -> dict[str, Any]:
        """The attributes as a mapping."""
        return dict(self.pairs)


@dataclass(frozen=True)
class Query:
    """Attributes to read, each into so much room; None asks for the length."""

    kinds: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True)
class Mech:
    """A mechanism by its name without CKM_, with a parameter of bytes or none."""

    name: str
    parameter: bytes | None = None


@dataclass(frozen=True)
class Ecdh:
    """CKM_ECDH1_DERIVE with the other's point."""

    point: bytes
    name: str = "ECDH1_DERIVE"


@dataclass(frozen=True)
class GcmMessage:
    """The parameter of a message under CKM_AES_GCM (§6.13.3): the tag goes in or out."""

    iv: bytes
    tag: bytes


@dataclass(frozen=True)
class Info:
    """A structure for the answer, or NULL."""

    kind: str
    asked: bool = True


@dataclass
class Reply:
    """What a call gave: the code's name without CKR_, and what was written, argument by argument.

    For an Out: its length and the bytes; a Cell: the number; Handles: a list; a Query: for each
    attribute length and value; an Info: its numbers; a GcmMessage: the tag. `faults` are breaches
    of the ABI itself, such as a byte behind the buffer.
    """

    code: str
    written: list[Any] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the call succeeded."""
        return self.code == "OK"

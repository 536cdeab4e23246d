"""How keys of a profile come by their serial numbers, of which no two are alike."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from .table import ProfileError, Table

LONGEST = 16
"""Characters of a serial number (PKCS#11 3.2 §3.2, CK_TOKEN_INFO)."""

_FEWEST = 4  # drawn characters: two keys of a rack must differ
_MOST_DRAWS = 1_000


@dataclass(frozen=True, slots=True)
class SerialRule:
    """Serial numbers: a prefix, and behind it so many digits or hexadecimal digits by chance."""

    prefix: str = ""
    drawn: int = LONGEST
    hexadecimal: bool = True

    @classmethod
    def read(cls, table: Table) -> Self:
        """Read the rule from its table; 16 hexadecimal digits where it says nothing."""
        prefix = table.text("prefix", most=LONGEST - _FEWEST)
        if not prefix.isascii():
            raise table.refuse("prefix", "is of ASCII")
        rest = LONGEST - len(prefix)
        digits = table.number("digits", 0, 0, LONGEST)
        hexadecimal = table.number("hex", 0, 0, LONGEST)
        table.done()
        if digits and hexadecimal:
            raise table.refuse("hex", "does not go with digits: say one of them")
        drawn = digits or hexadecimal or rest
        if not _FEWEST <= drawn <= rest:
            raise table.refuse(
                "digits or hex", f"is from {_FEWEST} to {rest}, as a serial number has 16 at most"
            )
        return cls(prefix, drawn, not digits)

    def draw(self, taken: Collection[str] = ()) -> str:
        """Draw a serial number that is not taken; ProfileError if none is to be had."""
        for _ in range(_MOST_DRAWS):
            number = secrets.randbelow((16 if self.hexadecimal else 10) ** self.drawn)
            serial = f"{self.prefix}{number:0{self.drawn}{'X' if self.hexadecimal else 'd'}}"
            if serial not in taken:
                return serial
        raise ProfileError(f"all serial numbers that begin with {self.prefix!r} are taken")

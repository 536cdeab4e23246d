"""Where SoftHSM2 is known to differ from the standard: the table read, and matched."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from standard.allowed import Difference

TABLE = Path(__file__).parent / "softhsm_deviations.toml"


@dataclass(frozen=True)
class Deviation:
    """One entry.

    functions: without C_; seen: the codes that come, or what is wrong with an output; instead_of:
    a code that the standard wants; means: the code as which the model takes it, "alive" or
    "unchanged", None where the sequence cannot go on; why and clause: for the reader.
    """

    id: str
    functions: tuple[str, ...]
    seen: tuple[str, ...]
    instead_of: str
    means: str | None
    why: str
    clause: str

    def covers(self, function: str, difference: Difference) -> bool:
        """Tell whether it is this that was seen."""
        return (
            function in self.functions
            and difference.what in self.seen
            and self.instead_of in difference.allowed
        )


class Deviations:
    """Those that are known."""

    def __init__(self, entries: Iterable[Deviation]) -> None:
        self.entries = list(entries)

    @classmethod
    def of_softhsm(cls) -> "Deviations":
        """Read the table."""
        table = tomllib.loads(TABLE.read_text("utf-8"))
        return cls(
            Deviation(
                name,
                tuple(row["functions"]),
                tuple(row["seen"]),
                row["instead_of"],
                row.get("means"),
                row["why"],
                row["clause"],
            )
            for name, row in table.items()
        )

    def find(self, function: str, difference: Difference) -> Deviation | None:
        """Return the first entry that covers a difference."""
        return next((each for each in self.entries if each.covers(function, difference)), None)

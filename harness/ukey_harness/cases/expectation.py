"""What a case demands to be seen, and how that is compared with what was seen."""

from dataclasses import dataclass
from enum import StrEnum

ANYTHING = "*"


class Match(StrEnum):
    """How what was seen stands to what was expected."""

    EXACT = "exact"
    ALLOWED = "allowed"
    UNMET = "unmet"


@dataclass(frozen=True)
class Expectation:
    """Sequences of facts: the one that the standard names, and others that it allows.

    Each place of a sequence holds the words that may stand there; "*" is any word.
    """

    exact: tuple[tuple[str, ...], ...]
    allowed: tuple[tuple[tuple[str, ...], ...], ...] = ()

    @classmethod
    def read(cls, expect: str, *allow: str) -> "Expectation":
        """Read sequences like "OK, CANCEL | OK, *": commas between places, | between words."""
        return cls(_sequence(expect), tuple(_sequence(each) for each in allow))

    def match(self, seen: tuple[str, ...]) -> Match:
        """Compare a whole sequence: one fact more or less is another sequence."""
        if _fits(self.exact, seen):
            return Match.EXACT
        if any(_fits(each, seen) for each in self.allowed):
            return Match.ALLOWED
        return Match.UNMET

    def __str__(self) -> str:
        texts = [_written(self.exact), *(_written(each) for each in self.allowed)]
        return "; allowed: ".join([texts[0], " or ".join(texts[1:])] if texts[1:] else texts)


def _sequence(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(word.strip() for word in place.split("|")) for place in text.split(","))


def _written(sequence: tuple[tuple[str, ...], ...]) -> str:
    return ", ".join("|".join(place) for place in sequence)


def _fits(sequence: tuple[tuple[str, ...], ...], seen: tuple[str, ...]) -> bool:
    return len(sequence) == len(seen) and all(
        ANYTHING in place or fact in place for place, fact in zip(sequence, seen, strict=True)
    )

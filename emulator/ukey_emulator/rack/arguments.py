"""What an argument of a command may be: text, a number, yes or no; each says so in words."""

import math
from dataclasses import dataclass

GREATEST = (1 << 53) - 1
"""The greatest whole number that all readers of JSON can count to (RFC 8259 §6)."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text of at most so many characters; one that may be `null` is chosen by the rack then."""

    most: int
    required: bool = False
    null: bool = False

    @property
    def allowed(self) -> str:
        """Say in words what is allowed."""
        return f"text of 1 to {self.most} characters" + (" or null" if self.null else "")

    def fits(self, value: object) -> bool:
        """Tell whether a value from JSON is such text; half a surrogate pair is no character."""
        if value is None:
            return self.null
        if not isinstance(value, str) or not 1 <= len(value) <= self.most:
            return False
        return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value)


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number from `least` to `most`."""

    least: int
    most: int
    required: bool = False

    @property
    def allowed(self) -> str:
        """Say in words what is allowed."""
        return f"a whole number from {self.least} to {self.most}"

    def fits(self, value: object) -> bool:
        """Tell whether a value from JSON is such a number; `true` is none."""
        return type(value) is int and self.least <= value <= self.most


@dataclass(frozen=True, slots=True)
class Amount:
    """A number, whole or not, from `least` to `most`."""

    least: float
    most: float
    required: bool = False

    @property
    def allowed(self) -> str:
        """Say in words what is allowed."""
        return f"a number from {self.least:g} to {self.most:g}"

    def fits(self, value: object) -> bool:
        """Tell whether a value from JSON is such a number; `true` and NaN are none."""
        if type(value) is float:
            return math.isfinite(value) and self.least <= value <= self.most
        return type(value) is int and self.least <= value <= self.most


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no."""

    required: bool = False

    @property
    def allowed(self) -> str:
        """Say in words what is allowed."""
        return "true or false"

    def fits(self, value: object) -> bool:
        """Tell whether a value from JSON is one of the two."""
        return isinstance(value, bool)


Kind = Text | Number | Amount | Flag

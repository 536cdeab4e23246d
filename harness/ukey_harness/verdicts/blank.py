"""Blanks PINs out of everything that goes into a record."""

import re
from collections.abc import Iterable

BLANK = "●●●●●●"
SHORTEST = 4  # below this, blanking would eat ordinary words


class Blank:
    """Knows the secrets of a run and takes them out of texts and JSON values.

    A secret is taken out where it stands alone, not inside a longer row of letters and digits: a
    serial number that happens to contain "123456" stays readable.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Add a secret; too short ones are not blanked."""
        if len(secret) < SHORTEST or secret in self._secrets:
            return
        self._secrets.add(secret)
        longest_first = sorted(self._secrets, key=len, reverse=True)
        words = "|".join(re.escape(each) for each in longest_first)
        self._pattern = re.compile(rf"(?<![0-9A-Za-z])(?:{words})(?![0-9A-Za-z])")

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        return text if self._pattern is None else self._pattern.sub(BLANK, text)

    def value(self, value: object) -> object:
        """Return a JSON value without secrets in any of its texts."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        return value

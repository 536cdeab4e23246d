"""A table of a profile, read member by member: what is not as it should be is refused in words."""

import difflib
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, TypeVar

Named = TypeVar("Named", bound=IntEnum)
_BYTE = range(256)
_LONGEST_TEXT = 4_096


class ProfileError(Exception):
    """A profile that is not there or says what cannot be; the message says where and what."""


class Table:
    """One table: each method reads one member, and `done` refuses those that nobody read.

    `place` is what people call it: empty for the whole profile, `[card]` for the table card.
    Everything raises ProfileError with what would be right.
    """

    def __init__(self, members: Mapping[str, Any], place: str = "") -> None:
        self._members = members
        self.place = place
        self._known: list[str] = []
        self._tables: dict[str, Table] = {}

    def __contains__(self, name: str) -> bool:
        """Tell whether the table has such a member."""
        return name in self._members

    @property
    def known(self) -> tuple[str, ...]:
        """The names that have been asked for."""
        return tuple(self._known)

    def done(self) -> None:
        """Refuse a member that has not been asked for: it would do nothing."""
        for name in self._members:
            if name not in self._known:
                hint = close(name, self._known) or f"; there are: {', '.join(self._known)}"
                what = f"member of {self.place}" if self.place else "member"
                raise ProfileError(f"there is no {what} {name!r}{hint}")

    def _get(self, name: str, default: object) -> Any:  # noqa: ANN401 - whatever TOML holds
        self._known.append(name)
        return self._members.get(name, default)

    def refuse(self, name: str, what: str) -> ProfileError:
        """Give the error that a member is not what it should be."""
        return ProfileError(f"{name}{f' in {self.place}' if self.place else ''} {what}")

    def text(self, name: str, default: str = "", *, most: int = _LONGEST_TEXT) -> str:
        """Read one line of at most so many bytes of UTF-8."""
        value = self._get(name, default)
        if not isinstance(value, str):
            raise self.refuse(name, "is a string")
        if not value.isprintable() or len(value.encode()) > most:
            raise self.refuse(name, f"is one line of at most {most} bytes")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Read true or false."""
        value = self._get(name, default)
        if not isinstance(value, bool):
            raise self.refuse(name, "is true or false")
        return value

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """Read a whole number from `least` to `most`."""
        value = self._get(name, default)
        if type(value) is not int or not least <= value <= most:
            raise self.refuse(name, f"is a whole number from {least} to {most}")
        return value

    def seconds(self, name: str, default: float, most: float) -> float:
        """Read a time in seconds."""
        value = self._get(name, default)
        if type(value) not in (int, float) or not 0 <= value <= most:
            raise self.refuse(name, f"is a number of seconds from 0 to {most:g}")
        return float(value)

    def version(self, name: str, default: tuple[int, int]) -> tuple[int, int]:
        """Read a CK_VERSION: major and minor number with a point between them."""
        value = self._get(name, ".".join(map(str, default)))
        parts = value.split(".") if isinstance(value, str) else []
        if len(parts) != len(default) or not all(_is_byte(part) for part in parts):
            raise self.refuse(name, 'is two numbers up to 255 with a point between them: "1.0"')
        return int(parts[0]), int(parts[1])

    def one_of(self, name: str, default: str, allowed: Iterable[str]) -> str:
        """Read one of some words."""
        value, words = self._get(name, default), list(allowed)
        if value not in (default, *words) or not isinstance(value, str):
            raise self.refuse(name, f"is one of: {', '.join(words)}")
        return value

    def names(self, name: str, example: str) -> list[str]:
        """Read a list of names."""
        value = self._get(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.refuse(name, f'is a list of names: ["{example}"]')
        return value

    def numbers(self, name: str, count: int) -> list[int]:
        """Read `count` whole numbers that are not negative."""
        value = self._get(name, [0] * count)
        right = isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)
        if not right or len(value) != count:
            raise self.refuse(name, f"is a list of {count} whole numbers")
        return list(value)

    def table(self, name: str) -> "Table":
        """Read a table, which is empty where it is not there; each time the same."""
        if name not in self._tables:
            value = self._get(name, {})
            place = f"[{'.'.join([*filter(None, [self.place.strip('[]')]), name])}]"
            if not isinstance(value, dict):
                raise ProfileError(f"{name} is a table: {place}")
            self._tables[name] = Table(value, place)
        return self._tables[name]

    def tables(self, name: str) -> list["Table"]:
        """Read an array of tables."""
        value = self._get(name, [])
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise ProfileError(f"{name} is an array of tables: [[{name}]]")
        return [Table(each, f"[[{name}]] {n}") for n, each in enumerate(value, 1)]

    def tables_like(self, *prefixes: str) -> dict[str, "Table"]:
        """Read all members whose names begin so, each of which is a table."""
        return {name: self.table(name) for name in self._members if name.startswith(prefixes)}

    def members(self) -> dict[str, Any]:
        """Read all members as they are."""
        self._known += self._members
        return dict(self._members)


def term(kinds: type[Named], name: str, what: str) -> Named:
    """Give what a name of the standard stands for, as `CKM_SHA256` in CKM."""
    prefix = f"{kinds.__name__}_"
    found = kinds.__members__.get(name.removeprefix(prefix)) if name.startswith(prefix) else None
    if found is None:
        known = [prefix + each for each in kinds.__members__]
        raise ProfileError(f"there is no {what} {name!r}{close(name, known)}")
    return found


def close(name: str, names: Iterable[str]) -> str:
    """Give the names that are close to one that is none, as the end of a sentence."""
    found = difflib.get_close_matches(name, list(names))
    return f"; close to it are: {', '.join(found)}" if found else ""


def _is_byte(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3 and int(text) in _BYTE  # noqa: PLR2004

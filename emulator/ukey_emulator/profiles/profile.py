"""A profile: read from a file that comes with the emulator, or from one of yours."""

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from ukey_emulator.terms import CKM

from .atr import checked

DEFAULT = "default"
_SUFFIX = ".toml"
_FOLDER = Path(__file__).parent
# The algorithms of a card management key that has the usual 24 bytes (NIST SP 800-78-5 table 6-2).
_MANAGEMENT = {"3DES": 0x03, "AES-192": 0x0A}
_READER_BYTES = 100  # of the 127 that pcsc-lite has for it and its numbers


class ProfileError(Exception):
    """A profile that is not there or says what cannot be; the message says where and what."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a fresh key is like.

    `without` are the mechanisms that it shall not have. `reader` is the name of the reader that it
    brings along, `atr` its card's answer to reset, `management` the algorithm of its first card
    management key; where they are empty or None it is like ours. A card that is not `filled` has
    no CHUID, CCC and key history until somebody puts them.
    """

    name: str
    without: frozenset[CKM]
    reader: str = ""
    atr: bytes = b""
    management: int | None = None
    filled: bool = True

    @classmethod
    def load(cls, wanted: str) -> Self:
        """Load the profile of that name, or in the file of that path, which ends in .toml.

        Raises ProfileError.
        """
        return cls._read(Path(wanted)) if wanted.endswith(_SUFFIX) else cls._shipped(wanted)

    @classmethod
    @cache
    def _shipped(cls, name: str) -> Self:
        paths = {path.stem: path for path in _FOLDER.glob(f"*{_SUFFIX}")}
        if name not in paths:
            known = ", ".join(sorted(paths))
            raise ProfileError(
                f"there is no profile {name!r}; there are: {known}, or a file that ends in .toml"
            )
        return cls._read(paths[name])

    @classmethod
    def _read(cls, path: Path) -> Self:
        try:
            whole = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ProfileError(f"{path}: {error.strerror}") from error
        except ValueError as error:  # of UTF-8 and of TOML alike
            raise ProfileError(f"{path}: {error}") from error
        try:
            _refuse_unknown(whole, ("name", "mechanisms", "reader", "card"), "member")
            mechanisms = _table(whole, "mechanisms", "off")
            reader = _table(whole, "reader", "name")
            card = _table(whole, "card", "atr", "management", "filled")
            return cls(
                _name(whole.get("name", path.stem)),
                _off(mechanisms.get("off", [])),
                _reader(reader.get("name", "")),
                _atr(card.get("atr", "")),
                _management(card["management"]) if "management" in card else None,
                _filled(card.get("filled", True)),
            )
        except ProfileError as error:
            raise ProfileError(f"{path}: {error}") from None


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise ProfileError("name is a string")
    return name


def _table(whole: dict[str, Any], table: str, *members: str) -> dict[str, Any]:
    """Give a table, which has no other members than these; empty if it is not there."""
    found = whole.get(table, {})
    if not isinstance(found, dict):
        raise ProfileError(f"{table} is a table: [{table}]")
    _refuse_unknown(found, members, f"member of [{table}]")
    return found


def _reader(name: object) -> str:
    """Read the name of a reader, which clients see with numbers behind it."""
    if not isinstance(name, str) or not name.isprintable() or len(name.encode()) > _READER_BYTES:
        raise ProfileError(f"name in [reader] is one line of at most {_READER_BYTES} bytes")
    return name


def _atr(text: object) -> bytes:
    if not isinstance(text, str):
        raise ProfileError('atr in [card] is a string of hexadecimal digits: "3B80800101"')
    try:
        return checked(bytes.fromhex(text)) if text else b""
    except ValueError as error:
        raise ProfileError(f"atr in [card] is no answer to reset: {error}") from None


def _management(name: object) -> int:
    if not isinstance(name, str) or name not in _MANAGEMENT:
        raise ProfileError(f"management in [card] is one of: {', '.join(_MANAGEMENT)}")
    return _MANAGEMENT[name]


def _filled(filled: object) -> bool:
    if not isinstance(filled, bool):
        raise ProfileError("filled in [card] is true or false")
    return filled


def _off(off: object) -> frozenset[CKM]:
    """Read the list of mechanisms."""
    if not isinstance(off, list) or not all(isinstance(name, str) for name in off):
        raise ProfileError('off in [mechanisms] is a list of names: ["CKM_SHA_1"]')
    return frozenset(map(_mechanism, off))


def _mechanism(name: str) -> CKM:
    found = CKM.__members__.get(name.removeprefix("CKM_")) if name.startswith("CKM_") else None
    if found is None:
        names = [f"CKM_{known}" for known in CKM.__members__]
        raise ProfileError(f"there is no mechanism {name!r}{_close(name, names)}")
    return found


def _refuse_unknown(table: dict[str, Any], known: tuple[str, ...], what: str) -> None:
    for name in table:
        if name not in known:
            hint = _close(name, known) or f"; there are: {', '.join(known)}"
            raise ProfileError(f"there is no {what} {name!r}{hint}")


def _close(name: str, names: list[str] | tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, names)
    return f"; close to it are: {', '.join(close)}" if close else ""

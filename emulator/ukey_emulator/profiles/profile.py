"""A profile: read from a file that comes with the emulator, or from one of yours."""

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from ukey_emulator.terms import CKM

DEFAULT = "default"
_SUFFIX = ".toml"
_FOLDER = Path(__file__).parent


class ProfileError(Exception):
    """A profile that is not there or says what cannot be; the message says where and what."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a fresh key is like; `without` are the mechanisms that it shall not have."""

    name: str
    without: frozenset[CKM]

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
            _refuse_unknown(whole, ("name", "mechanisms"), "member")
            return cls(_name(whole.get("name", path.stem)), _off(whole.get("mechanisms", {})))
        except ProfileError as error:
            raise ProfileError(f"{path}: {error}") from None


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise ProfileError("name is a string")
    return name


def _off(mechanisms: object) -> frozenset[CKM]:
    """Read the table of mechanisms."""
    if not isinstance(mechanisms, dict):
        raise ProfileError("mechanisms is a table: [mechanisms]")
    _refuse_unknown(mechanisms, ("off",), "member of [mechanisms]")
    off = mechanisms.get("off", [])
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

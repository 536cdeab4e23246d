"""A profile: read from a file that comes with the emulator, or from one of yours."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Self

from .content import Content, content_of
from .identity import Identity
from .reading import device_members, identity_of
from .rules import LabelRule, Pins
from .table import ProfileError, Table

DEFAULT = "default"
_SUFFIX = ".toml"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Profile:
    """What a fresh key is like, and what it holds.

    `identity` lacks the serial number, which is each key's own; `facts` is what a key keeps of its
    profile, for `kept` to read: empty where it is like ours.
    """

    name: str
    about: str
    identity: Identity
    facts: bytes
    label: LabelRule
    pins: Pins
    content: tuple[Content, ...]

    @classmethod
    def load(cls, wanted: str) -> Self:
        """Load the profile of that name, or in the file of that path, which ends in .toml.

        Raises ProfileError.
        """
        return cls._read(Path(wanted)) if wanted.endswith(_SUFFIX) else cls._shipped(wanted)

    @classmethod
    @cache
    def _shipped(cls, name: str) -> Self:
        known = shipped()
        if name not in known:
            raise ProfileError(
                f"there is no profile {name!r}; there are: {', '.join(known)}, "
                "or a file that ends in .toml"
            )
        return cls._read(known[name])

    @classmethod
    def _read(cls, path: Path) -> Self:
        try:
            whole = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ProfileError(f"{path}: {error.strerror}") from error
        except ValueError as error:  # of UTF-8 and of TOML alike
            raise ProfileError(f"{path}: {error}") from error
        try:
            return cls.of(whole, path)
        except ProfileError as error:
            raise ProfileError(f"{path}: {error}") from None

    @classmethod
    def of(cls, whole: Mapping[str, Any], path: Path) -> Self:
        """Read the members of a profile whose file is, or would be, at this path."""
        whole = {"name": path.stem, **whole}
        table = Table(whole)
        name, about = table.text("name"), table.text("about")
        identity = replace(identity_of(table), profile=name)
        token, pins = table.table("token"), table.table("pins")
        profile = cls(
            name,
            about,
            identity,
            _facts(whole, identity),
            LabelRule.read(token),
            Pins.read(pins, identity),
            content_of(table, path.parent),
        )
        for each in (token, pins, table):
            each.done()
        return profile


def _facts(whole: Mapping[str, Any], identity: Identity) -> bytes:
    return b"" if identity == Identity() else json.dumps(device_members(whole)).encode()


@lru_cache(maxsize=64)
def kept(facts: bytes) -> Identity:
    """Read what a key has kept of its profile; ProfileError if a later release has written it."""
    members = json.loads(facts)
    return replace(identity_of(Table(members)), profile=members.get("name", DEFAULT))


def shipped() -> dict[str, Path]:
    """Give the profiles that come with the emulator, by their names."""
    return {path.stem: path for path in sorted(_FOLDER.glob(f"*{_SUFFIX}"))}

"""What a disk has after a power cut: played back from the journal that cut.c writes."""

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

_RECORD = struct.Struct("=IIQQ")
_SECTOR = 512  # bytes, which a disk writes whole or not at all


class Kind(IntEnum):
    """The kinds of steps; the numbers are cut.c's."""

    MAKE = 1
    WRITE = 2
    TRUNCATE = 3
    SYNC = 4
    UNLINK = 5
    RENAME = 6
    MARK = 7


@dataclass(frozen=True)
class Step:
    """A step: `path` is relative to the folder; a rename's `data` is the new path.

    A mark is none: `path` says what has happened between two steps.
    """

    kind: Kind
    path: str
    offset: int
    data: bytes


def read_journal(journal: Path) -> list[Step]:
    """Read all steps."""
    content, at, steps = journal.read_bytes(), 0, []
    while at < len(content):
        kind, size, offset, length = _RECORD.unpack_from(content, at)
        at += _RECORD.size
        path = content[at : at + size].decode()
        data = content[at + size : at + size + length]
        steps.append(Step(Kind(kind), path.removeprefix("/"), offset, data))
        at += size + length
    return steps


@dataclass
class _File:
    """A file as everybody sees it, as it surely is on the disk, and what is between the two."""

    seen: bytearray = field(default_factory=bytearray)
    safe: bytearray = field(default_factory=bytearray)
    waiting: list[tuple[int, bytes | None]] = field(default_factory=list)

    def do(self, offset: int, data: bytes | None) -> None:
        """Write; without data, truncate."""
        _do(self.seen, offset, data)
        self.waiting.append((offset, data))

    def sync(self) -> None:
        self.safe, self.waiting = bytearray(self.seen), []

    def torn(self, dice: random.Random) -> bytearray:
        """Give it with some of the sectors that wait, and some changes of its length."""
        content = bytearray(self.safe)
        for offset, data in self.waiting:
            if data is None:
                if dice.random() < 0.5:
                    _do(content, offset, None)
                continue
            start = offset
            while start < offset + len(data):
                after = min((start // _SECTOR + 1) * _SECTOR, offset + len(data))
                if dice.random() < 0.5:
                    _do(content, start, data[start - offset : after - offset])
                start = after
        return content


def _do(content: bytearray, offset: int, data: bytes | None) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data


class Disk:
    """The files of a folder, step by step; it begins with what is in a folder, safe.

    Names are changed in the order of the steps, as file systems with a journal do it, and are safe
    once the folder that they are in was waited for; the content of a file once the file was.
    """

    def __init__(self, folder: Path) -> None:
        self._seen: dict[str, _File] = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                name = str(path.relative_to(folder))
                self._seen[name] = _File(bytearray(content), bytearray(content))
        self._safe = dict(self._seen)
        self._waiting: list[tuple[str, Callable[[dict[str, _File]], None]]] = []

    def do(self, step: Step) -> None:
        """Take a step."""
        match step.kind:
            case Kind.MAKE if step.path in self._seen:
                self._seen[step.path].do(0, None)
            case Kind.MAKE:
                made = _File()
                self._rename(step.path, lambda names: names.update({step.path: made}))
            case Kind.WRITE:
                self._seen[step.path].do(step.offset, step.data)
            case Kind.TRUNCATE:
                self._seen[step.path].do(step.offset, None)
            case Kind.SYNC if step.path in self._seen:
                self._seen[step.path].sync()
            case Kind.SYNC:
                self._sync_names(step.path)
            case Kind.UNLINK:
                self._rename(step.path, lambda names: names.pop(step.path, None))
            case Kind.RENAME:
                target = step.data.decode().removeprefix("/")
                moved = self._seen[step.path]

                def rename(names: dict[str, _File]) -> None:
                    names.pop(step.path, None)
                    names[target] = moved

                self._rename(step.path, rename)

    def _rename(self, path: str, change: Callable[[dict[str, _File]], object]) -> None:
        def done(names: dict[str, _File]) -> None:
            change(names)

        done(self._seen)
        self._waiting.append((path.rpartition("/")[0], done))

    def _sync_names(self, folder: str) -> None:
        # A journal keeps the order: what came before in other folders is safe too.
        last = max((n for n, (where, _) in enumerate(self._waiting) if where == folder), default=-1)
        for _, change in self._waiting[: last + 1]:
            change(self._safe)
        del self._waiting[: last + 1]

    def kept(self) -> dict[str, bytes]:
        """Give what a killed process leaves: all of it."""
        return {name: bytes(file.seen) for name, file in self._seen.items()}

    def lost(self) -> dict[str, bytes]:
        """Give what a power cut leaves at least."""
        return {name: bytes(file.safe) for name, file in self._safe.items()}

    def torn(self, seed: str) -> dict[str, bytes]:
        """Give that with some of what was under way, by the seed."""
        dice = random.Random(seed)  # noqa: S311 - it is repeated by its seed
        names = dict(self._safe)
        for _, change in self._waiting[: dice.randint(0, len(self._waiting))]:
            change(names)
        return {name: bytes(file.torn(dice)) for name, file in names.items()}

    def cuts(self, seeds: int, name: str) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Give what the power's cut may leave now, with a word for each way."""
        yield "lost", self.lost()
        for seed in range(seeds):
            yield f"seed {seed}", self.torn(f"{name} {seed}")


def lay_out(files: dict[str, bytes], folder: Path) -> None:
    """Write files into a folder that is not there yet."""
    for part in ("keys", "snapshots"):
        (folder / part).mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)

"""The keys of a rack: their files, and the slots that they stand in."""

import re
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ukey_emulator.chip import Chip, Refusal, copying
from ukey_emulator.chip.store import UNFINISHED, delete
from ukey_emulator.profiles import DEFAULT, Identity, ProfileError
from ukey_emulator.slots import Slot, Slots

from .factories import Factories, Order, check_label
from .home import BAD_ARGUMENT, RackError
from .snapshots import SnapshotInfo, Snapshots

_SUFFIX = ".ukey"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key as the control port tells of it; `slot` is where it is, or belongs into."""

    name: str
    label: str
    serial: str
    slot: int
    plugged: bool
    profile: str


@dataclass(slots=True)
class _Key:
    name: str
    path: Path
    own: Slot
    slot: Slot
    serial: str
    label: str
    profile: str
    chip: Chip | None = None

    def info(self) -> KeyInfo:
        label = self.label if self.chip is None else self.chip.label
        plugged = self.chip is not None
        return KeyInfo(self.name, label, self.serial, self.slot.number, plugged, self.profile)


class Keyring:
    """The keys in a folder, each with a slot of its own; all are plugged in at the start.

    Their snapshots are in the folder `snapshots` beside it, what they are made of in `factories`.
    Keys that are not `lasting` need not outlive a crash of the machine, and are quicker for it.
    Faults are RackError, with what to do about them.
    """

    def __init__(self, folder: Path, slots: Slots, *, lasting: bool = True) -> None:
        self._folder = folder
        self._slots = slots
        slots.puller = self._pull_out
        self._lasting = lasting
        self._lock = threading.RLock()
        self._factories = Factories(folder.with_name("factories"), lasting=lasting)
        self._keys: dict[str, _Key] = {}
        folder.mkdir(mode=0o700, exist_ok=True)
        self._snapshots = Snapshots(folder.with_name("snapshots"), lasting=lasting)
        for path in folder.glob(f"*{UNFINISHED}"):
            path.unlink()
        for path in sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: _natural(path.stem)):
            self._insert(path.stem, path)

    def close(self) -> None:
        """Pull all keys out."""
        with self._lock:
            for key in self._keys.values():
                self._pull(key)

    def list(self) -> list[KeyInfo]:
        """Tell of all keys."""
        with self._lock:
            return [key.info() for key in self._keys.values()]

    def new(self, *, name: str | None = None, profile: str = DEFAULT, **wanted: Any) -> KeyInfo:  # noqa: ANN401
        """Make a key and plug it in.

        What it is like says a profile, by its name or the path of its file; the key stays so.
        What else is `wanted` of it are the members of an Order, in place of what the profile says.
        """
        with self._lock:
            name = self._free(name)
            order = Order(profile, **wanted)
            path = self._folder / (name + _SUFFIX)
            return self._made(name, path, lambda: self._factories.make(path, order, self._draw))

    def new_from(
        self, snapshot: str, *, name: str | None = None, label: str | None = None
    ) -> KeyInfo:
        """Make a key that is as a snapshot is, but for its serial number, and plug it in.

        Its label is that of the snapshot if none is given.
        """
        with self._lock:
            name = self._free(name)
            if label is not None:
                check_label(label)
            image = self._snapshots.image(snapshot)
            path = self._folder / (name + _SUFFIX)
            return self._made(
                name,
                path,
                lambda: Chip.of(
                    path, copying.another(image, self._draw, label), lasting=self._lasting
                ),
            )

    def snapshot(self, name: str, snapshot: str | None = None) -> SnapshotInfo:
        """Copy a key as it is now, plugged in or not; NAME-1, NAME-2… if no name is given."""
        with self._lock:
            key = self._get(name)
            snapshot = self._snapshots.free(name, snapshot)
            return self._snapshots.keep(snapshot, name, key.serial, self._image(key))

    def snapshots(self) -> tuple[SnapshotInfo, ...]:
        """Tell of all snapshots, the oldest first."""
        with self._lock:
            return self._snapshots.all()

    def remove_snapshot(self, name: str) -> None:
        """Delete a snapshot for good; keys made from it stay."""
        with self._lock:
            self._snapshots.remove(name)

    def rewind(self, name: str, snapshot: str | None = None) -> KeyInfo:
        """Put a key back into a snapshot's state, its own newest if none is given.

        PINs and their counters are those of the snapshot; serial number and profile stay. For
        programs it is a pull and a plug. A key that was pulled out stays so.
        """
        with self._lock:
            key = self._get(name)
            snapshot = snapshot or self._snapshots.newest(name, key.serial)
            return self._put_back(key, self._snapshots.image(snapshot))

    def reset(self, name: str) -> KeyInfo:
        """Put a key back into the state that it left the factory in, as `rewind` does."""
        with self._lock:
            key = self._get(name)
            try:
                image = copying.factory_of(self._image(key))
            except Refusal as refusal:
                raise RackError(f"the key cannot be reset: {refusal.why}") from refusal
            if image is None:
                raise RackError(
                    f"{name} was made before keys remembered their factory: "
                    "remove it and make another"
                )
            return self._put_back(key, image)

    def plug(self, name: str, slot: int | None = None) -> KeyInfo:
        """Plug a key in, into a slot of that number or else its own; one that is in stays in.

        From another slot it is pulled out before. A slot that has another key in it is refused.
        """
        with self._lock:
            key = self._get(name)
            if key.chip is not None and slot in (None, key.slot.number):
                return key.info()
            wanted = key.own if slot is None else self._slot(slot)
            if wanted.chip is not None:
                raise RackError(f"{wanted.key} is in slot {wanted.number}: pull it out first")
            self._pull(key)
            self._put(key, wanted, self._open(key.path))
            return key.info()

    def plugged(self, name: str) -> Chip:
        """Give a key that is plugged in."""
        with self._lock:
            chip = self._get(name).chip
        if chip is None:
            raise RackError(f"{name} is pulled out: plug it in")
        return chip

    def unplug(self, name: str) -> KeyInfo:
        """Pull a key out; its slot stays, empty."""
        with self._lock:
            key = self._get(name)
            self._pull(key)
            return key.info()

    def remove(self, name: str) -> None:
        """Pull a key out and delete it for good, with its slot."""
        with self._lock:
            key = self._get(name)
            if key.own.chip is not None and key.own.key != name:
                raise RackError(f"{key.own.key} is in the slot of {name}: pull it out first")
            self._pull(key)
            self._slots.remove(key.own)
            del self._keys[name]
            delete(key.path, lasting=self._lasting)

    def require(self, name: str) -> None:
        """Refuse the name of a key that there is not."""
        with self._lock:
            self._get(name)

    def _get(self, name: str) -> _Key:
        try:
            return self._keys[name]
        except KeyError:
            known = ", ".join(self._keys) or "none"
            raise RackError(f"there is no key {name}; there are: {known}", "no_such_key") from None

    def _slot(self, number: int) -> Slot:
        slot = self._slots.get(number)
        if slot is None:
            known = ", ".join(str(each.number) for each in self._slots) or "none"
            raise RackError(f"there is no slot {number}; there are: {known}", "no_such_slot")
        return slot

    def _insert(self, name: str, path: Path) -> None:
        self._hold(name, path, self._open(path))

    def _open(self, path: Path) -> Chip:
        try:
            return Chip.open(path, lasting=self._lasting)
        except Refusal as refusal:
            raise RackError(f"the key cannot be opened: {refusal.why}") from refusal

    def _made(self, name: str, path: Path, make: Callable[[], Chip]) -> KeyInfo:
        try:
            chip = make()
        except Refusal as refusal:
            delete(path, lasting=self._lasting)
            raise RackError(f"the key cannot be made: {refusal.why}") from refusal
        return self._hold(name, path, chip).info()

    def _image(self, key: _Key) -> bytes:
        """Give a key as it is between two changes, whether it is plugged in or not."""
        try:
            if key.chip is not None:
                return key.chip.image()
            with closing(self._open(key.path)) as resting:
                return resting.image()
        except Refusal as refusal:
            raise RackError(f"the key cannot be copied: {refusal.why}") from refusal

    def _put_back(self, key: _Key, image: bytes) -> KeyInfo:
        slot = None if key.chip is None else key.slot
        self._pull(key)
        try:
            copying.put_back(key.path, image, lasting=self._lasting)
        except Refusal as refusal:
            raise RackError(f"the key stays as it was: {refusal.why}") from refusal
        finally:
            chip = self._open(key.path)
            key.label = chip.label
            if slot is not None:
                self._put(key, slot, chip)
            else:
                chip.close()
        return key.info()

    def _hold(self, name: str, path: Path, chip: Chip) -> _Key:
        told = chip.identity
        slot = self._slots.add(name, told.reader, told.slot)
        key = _Key(name, path, slot, slot, told.serial, chip.label, told.profile)
        self._keys[name] = key
        self._put(key, slot, chip)
        return key

    def _put(self, key: _Key, slot: Slot, chip: Chip) -> None:
        key.chip, key.slot = chip, slot
        self._slots.plug(slot, chip, key.name)

    def _pull_out(self, slot: Slot, chip: Chip) -> None:
        """Pull out what a fault wants out, unless it is out already."""
        with self._lock:
            for key in self._keys.values():
                if key.chip is chip and key.slot is slot:
                    self._pull(key)

    def _pull(self, key: _Key) -> None:
        chip, slot = key.chip, key.slot
        if chip is not None:
            key.chip, key.slot, key.label = None, key.own, chip.label
            self._slots.unplug(slot)
            chip.close()

    def _free(self, name: str | None) -> str:
        """Give the name for a new key, after a look at the one that is wanted."""
        name = name or self._free_name()
        if not _NAME.fullmatch(name):
            raise RackError(
                f"a key cannot be called {name!r}: letters, digits, . _ - only", BAD_ARGUMENT
            )
        if name in self._keys:
            raise RackError(f"there is a key {name} already: choose another name", "key_exists")
        return name

    def _draw(self, identity: Identity) -> str:
        """Draw a serial number for such a key, which no other of the rack has."""
        try:
            return identity.serials.draw({key.serial for key in self._keys.values()})
        except ProfileError as error:
            raise RackError(f"no more keys of this profile: {error}") from error

    def _free_name(self) -> str:
        number = len(self._keys) + 1
        while f"key-{number}" in self._keys:
            number += 1
        return f"key-{number}"


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key-2 before key-10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]

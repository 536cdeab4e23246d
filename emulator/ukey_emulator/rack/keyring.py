"""The keys of a rack: their files, and the slots that they stand in."""

import hashlib
import re
import secrets
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from ukey_emulator.chip import Chip, Refusal
from ukey_emulator.chip.chip import Factory
from ukey_emulator.profiles import DEFAULT, Profile, ProfileError
from ukey_emulator.slots import Slot, Slots

from .home import RackError

_SUFFIX = ".ukey"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LABEL_BYTES = 32
_TRIES = range(1, 256)


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key as the control port tells of it; `slot` is the number of its slot."""

    name: str
    label: str
    serial: str
    slot: int
    plugged: bool

    def as_json(self) -> dict[str, object]:
        """Give it as JSON can hold it."""
        return asdict(self)


@dataclass(slots=True)
class _Key:
    name: str
    path: Path
    slot: Slot
    serial: str
    label: str

    def info(self) -> KeyInfo:
        chip = self.slot.chip
        label = self.label if chip is None else chip.label
        return KeyInfo(self.name, label, self.serial, self.slot.number, chip is not None)


class Keyring:
    """The keys in a folder, each with a slot of its own; all are plugged in at the start.

    Keys that are not `lasting` need not outlive a crash of the machine, and are quicker for it.
    Faults are RackError, with what to do about them.
    """

    def __init__(self, folder: Path, slots: Slots, *, lasting: bool = True) -> None:
        self._folder = folder
        self._slots = slots
        self._lasting = lasting
        self._lock = threading.RLock()
        self._factories: dict[bytes, Factory] = {}
        self._keys: dict[str, _Key] = {}
        folder.mkdir(mode=0o700, exist_ok=True)
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

    def new(
        self,
        *,
        name: str | None = None,
        label: str | None = None,
        pin: str = "123456",
        so_pin: str = "12345678",
        tries: int = 10,
        initialized: bool = True,
        profile: str = DEFAULT,
    ) -> KeyInfo:
        """Make a key and plug it in; without `initialized` its token has no PINs yet.

        What it is like says a profile, by its name or the path of its file; the key stays so.
        """
        with self._lock:
            name = name or self._free_name()
            if not _NAME.fullmatch(name):
                raise RackError(f"a key cannot be called {name!r}: letters, digits, . _ - only")
            if name in self._keys:
                raise RackError(f"there is a key {name} already: choose another name")
            label = label or f"ukey-{secrets.token_hex(4)}"
            if len(label.encode()) > _LABEL_BYTES:
                raise RackError(f"the label has more than {_LABEL_BYTES} bytes of UTF-8")
            if tries not in _TRIES:
                raise RackError("a PIN has 1 to 255 tries")
            try:
                wanted = Profile.load(profile)
            except ProfileError as error:
                raise RackError(f"the profile cannot be used: {error}") from error
            factory = self._factory(pin, so_pin, tries) if initialized else None
            path = self._folder / (name + _SUFFIX)
            serial = secrets.token_hex(8).upper()
            try:
                chip = Chip.make(
                    path,
                    serial,
                    label if initialized else "",
                    factory,
                    lasting=self._lasting,
                    without=wanted.without,
                    reader=wanted.reader,
                    atr=wanted.atr,
                    management=wanted.management,
                    filled=wanted.filled,
                )
            except Refusal as refusal:
                self._delete(path)
                raise RackError(f"the key cannot be made: {refusal.why}") from refusal
            return self._hold(name, path, chip).info()

    def plug(self, name: str) -> KeyInfo:
        """Plug a key in; one that is in stays in."""
        with self._lock:
            key = self._get(name)
            if key.slot.chip is None:
                self._slots.plug(key.slot, self._open(key.path))
            return key.info()

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
            self._pull(key)
            self._slots.remove(key.slot)
            del self._keys[name]
            self._delete(key.path)

    def _get(self, name: str) -> _Key:
        try:
            return self._keys[name]
        except KeyError:
            known = ", ".join(self._keys) or "none"
            raise RackError(f"there is no key {name}; there are: {known}") from None

    def _insert(self, name: str, path: Path) -> None:
        self._hold(name, path, self._open(path))

    def _open(self, path: Path) -> Chip:
        try:
            return Chip.open(path, lasting=self._lasting)
        except Refusal as refusal:
            raise RackError(f"the key cannot be opened: {refusal.why}") from refusal

    def _delete(self, path: Path) -> None:
        for part in self._folder.glob(f"{path.name}*"):
            part.unlink()

    def _hold(self, name: str, path: Path, chip: Chip) -> _Key:
        slot = self._slots.add(name, chip.identity.reader)
        key = _Key(name, path, slot, chip.identity.serial, chip.label)
        self._keys[name] = key
        self._slots.plug(slot, chip)
        return key

    def _pull(self, key: _Key) -> None:
        chip = key.slot.chip
        if chip is not None:
            key.label = chip.label
            self._slots.unplug(key.slot)
            chip.close()

    def _free_name(self) -> str:
        number = len(self._keys) + 1
        while f"key-{number}" in self._keys:
            number += 1
        return f"key-{number}"

    def _factory(self, pin: str, so_pin: str, tries: int) -> Factory:
        """Give the factory for these PINs; their wrapping keys are derived only once."""
        lengths = range(4, 65)
        if len(pin.encode()) not in lengths or len(so_pin.encode()) not in lengths:
            raise RackError("a PIN has 4 to 64 bytes")
        name = hashlib.sha256(repr((pin, so_pin, tries)).encode()).digest()
        if name not in self._factories:
            self._factories[name] = Factory.of(pin.encode(), so_pin.encode(), tries)
        return self._factories[name]


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key-2 before key-10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]

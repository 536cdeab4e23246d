"""Where the fresh keys of a rack come from: one factory for all that are alike."""

import hashlib
import logging
import re
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ukey_emulator.chip import Chip, Refusal, Role, copying
from ukey_emulator.chip.factory import Factory
from ukey_emulator.chip.store import write
from ukey_emulator.profiles import Identity, Profile, ProfileError
from ukey_emulator.profiles.rules import Pins

from .authority import Authority
from .contents import objects_of
from .home import BAD_ARGUMENT, RackError

_RELEASE = 1  # of what is built here: another one, and kept images are made anew
_AUTHORITY_KEY = "RSA-2048"
_IMAGE, _CERTIFICATE = ".ukey", ".pem"
_NAME_LENGTH = 32
_LABEL_BYTES = 32
_TRIES = range(1, 256)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants of a fresh key; None is as its profile says.

    A key that is not `initialized` has no PINs yet, no label and no objects.
    """

    profile: str
    label: str | None = None
    pin: str | None = None
    so_pin: str | None = None
    tries: int | None = None
    initialized: bool = True


class Factories:
    """The factories of a rack: what is the same in many keys is made only once.

    That are the PINs, which cost more than all else of a key, and in the folder the images of keys
    that come with objects, each beside the certificate of the authority that certified them.
    `Keyring` calls this, one thread at a time. Faults are RackError, with what to do about them.
    """

    def __init__(self, folder: Path, *, lasting: bool) -> None:
        self._folder = folder
        self._lasting = lasting
        self._factories: dict[bytes, Factory] = {}
        self._images: dict[str, bytes] = {}

    def make(self, path: Path, order: Order, draw: Callable[[Identity], str]) -> Chip:
        """Make a key in a new file, with the serial number that is drawn for such a key.

        A Refusal may leave a file that is none.
        """
        profile = _profile(order)
        pins = _pins(order, profile)
        serial = draw(profile.identity)
        label = order.label or profile.label.filled(serial)
        check_label(label)
        if order.initialized and profile.content:
            image = copying.another(self._image(profile, pins), lambda _: serial, label)
            return Chip.of(path, copying.remember_factory(image), lasting=self._lasting)
        return Chip.make(
            path,
            serial,
            label if order.initialized else "",
            self._factory(pins) if order.initialized else None,
            lasting=self._lasting,
            profile=profile.facts,
        )

    def _image(self, profile: Profile, pins: Pins) -> bytes:
        """Give the image of such keys, from memory, from the folder, or made anew."""
        made_from = repr((_RELEASE, profile.facts, profile.content, pins)).encode()
        readable = re.sub(r"[^A-Za-z0-9._-]", "_", profile.name)[:_NAME_LENGTH]
        name = f"{readable}-{hashlib.sha256(made_from).hexdigest()[:_NAME_LENGTH]}"
        if name not in self._images:
            path = self._folder / (name + _IMAGE)
            if not path.exists():
                self._put(path, *self._built(profile, pins))
            self._images[name] = path.read_bytes()
        return self._images[name]

    def _put(self, path: Path, image: bytes, authority: Authority) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path.with_name(path.stem + _CERTIFICATE).write_bytes(authority.pem)
        write(path, image, lasting=self._lasting)

    def _built(self, profile: Profile, pins: Pins) -> tuple[bytes, Authority]:
        """Build a key with all that it holds; nothing keeps the authority's own key."""
        _log.info("building the factory image of the profile %s", profile.name)
        try:
            authority = Authority.found(_AUTHORITY_KEY)
            objects = objects_of(profile.content, authority)
            with tempfile.TemporaryDirectory(prefix="ukey-") as folder:
                draft = Chip.make(Path(folder) / "key", "", "", self._factory(pins), lasting=False)
                with closing(draft) as chip:
                    # No PIN is spent for it: what is private goes into the letterbox.
                    chip.exchange((), objects)
                    image = chip.image()
        except (Refusal, ValueError) as error:
            raise RackError(
                f"what the profile holds cannot be made: {error}", BAD_ARGUMENT
            ) from error
        return copying.of_profile(image, profile.facts), authority

    def _factory(self, pins: Pins) -> Factory:
        name = hashlib.sha256(repr(pins).encode()).digest()
        if name not in self._factories:
            left = {Role.USER: pins.tries_left, Role.SO: pins.so_tries_left}
            self._factories[name] = Factory.of(
                pins.user.encode(), pins.so.encode(), pins.tries, pins.so_tries, left
            )
        return self._factories[name]


def check_label(label: str) -> None:
    """Refuse a label that no token can have (PKCS#11 3.2 §3.2, CK_TOKEN_INFO)."""
    if len(label.encode()) > _LABEL_BYTES:
        raise RackError(f"the label has more than {_LABEL_BYTES} bytes of UTF-8", BAD_ARGUMENT)


def _profile(order: Order) -> Profile:
    try:
        return Profile.load(order.profile)
    except ProfileError as error:
        raise RackError(f"the profile cannot be used: {error}", BAD_ARGUMENT) from error


def _pins(order: Order, profile: Profile) -> Pins:
    """Give the PINs of a fresh key: what is ordered, else what the profile says."""
    pins, identity = profile.pins, profile.identity
    if order.tries is not None:
        if order.tries not in _TRIES:
            raise RackError("a PIN has 1 to 255 tries", BAD_ARGUMENT)
        tries = order.tries
        pins = replace(pins, tries=tries, so_tries=tries, tries_left=tries, so_tries_left=tries)
    pins = replace(pins, user=order.pin or pins.user, so=order.so_pin or pins.so)
    lengths = range(identity.min_pin_length, identity.max_pin_length + 1)
    if not all(len(pin.encode()) in lengths for pin in (pins.user, pins.so)):
        raise RackError(f"a PIN has {lengths.start} to {lengths.stop - 1} bytes", BAD_ARGUMENT)
    return pins

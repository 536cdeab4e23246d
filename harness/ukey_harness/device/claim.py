"""Device files: TOML in which a device says what it is and what it can do."""

import glob
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast, get_args

Kind = Literal["emulated", "softhsm2", "module", "reader"]
Tells = Literal["number", "flags", "nothing"]
Way = Literal["pkcs11", "piv", "opensc"]

# Where distributions put SoftHSM2's module; ci/bootstrap looks in the same folders.
SOFTHSM_FOLDERS = ("/usr/lib/softhsm", "/usr/lib/*/softhsm")
SOFTHSM_MODULE = "libsofthsm2.so"

DEFAULT_USER_PIN = "123456"
DEFAULT_SO_PIN = "12345678"
DEFAULT_MANAGEMENT = "0102030405060708" * 3  # of a card as it comes from the factory


class DeviceFileError(ValueError):
    """A device file cannot be used; the message names file, key and what is wanted."""


@dataclass(frozen=True)
class Claims:
    """What the device says it can do.

    removable: it can be taken out; locks_after: wrong user PINs until it locks (0: never);
    tells_tries: how it shows the tries that are left; unblocks: its SO can unlock the user PIN.
    """

    removable: bool = False
    locks_after: int = 0
    tells_tries: Tells = "nothing"
    unblocks: bool = False


@dataclass(frozen=True)
class Pins:
    """The PINs of a device that is made anew, or the environment variables that hold a real one's.

    A real key's PINs do not stand in a file that may be committed. Of a card user is the PIV PIN,
    so the PUK, and management the management key in hexadecimal.
    """

    user: str = DEFAULT_USER_PIN
    so: str = DEFAULT_SO_PIN
    user_env: str = ""
    so_env: str = ""
    management: str = DEFAULT_MANAGEMENT
    management_env: str = ""


@dataclass(frozen=True)
class DeviceFile:
    """A device file's content.

    module: path of the PKCS#11 module (kinds softhsm2 and module; "": SoftHSM2 is not installed);
    reader: the name of the PC/SC reader, or a part that no other reader's name has (kind reader);
    serial: the serial number that a real key must show; erase: the sentence of consent to losing
    everything on that key; environment: variables that the module wants; way: how the holder's
    programs reach an emulated key: through its own module, as a PIV card, or through OpenSC's
    module as that card; profile: what an emulated key is like, a name or the path of a TOML file.
    """

    path: str
    name: str
    kind: Kind
    vendor: str = ""
    model: str = ""
    module: str = ""
    reader: str = ""
    serial: str = ""
    claims: Claims = field(default_factory=Claims)
    pins: Pins = field(default_factory=Pins)
    erase: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    way: Way = "pkcs11"
    profile: str = "default"

    @property
    def is_real(self) -> bool:
        """Whether it is a key that nobody can make anew."""
        return self.kind in {"module", "reader"}

    @property
    def consent_wanted(self) -> str:
        """The sentence that allows a real key to be erased: it names the key."""
        return f"序列号 {self.serial} 的钥匙可以清空"

    @property
    def may_erase(self) -> bool:
        """Whether this key's owner consents to losing everything on it."""
        return bool(self.serial) and self.erase == self.consent_wanted


def shipped() -> list[str]:
    """Return the names of the device files that come with the package."""
    folder = resources.files(__package__) / "files"
    return sorted(each.name.removesuffix(".toml") for each in folder.iterdir() if each.is_file())


def read_device_file(name: str) -> DeviceFile:
    """Read a shipped device file by its name, or any by its path."""
    if name in shipped():
        content = (resources.files(__package__) / "files" / f"{name}.toml").read_text("utf-8")
        return parse_device_file(content, name)
    path = Path(name)
    if not path.is_file():
        raise DeviceFileError(
            f"there is no device file {name!r}; give a path, or one of: {', '.join(shipped())}"
        )
    try:
        return parse_device_file(path.read_text("utf-8"), name)
    except (OSError, UnicodeDecodeError) as error:
        raise DeviceFileError(f"{name}: cannot be read: {error}") from error


def softhsm_module() -> str:
    """Return the path of the SoftHSM2 that is installed, "" where there is none."""
    for folder in SOFTHSM_FOLDERS:
        for found in sorted(glob.glob(f"{folder}/{SOFTHSM_MODULE}")):  # noqa: PTH207 - absolute
            return found
    return ""


def parse_device_file(content: str, name: str) -> DeviceFile:
    """Return what a device file says; DeviceFileError names the first fault."""
    try:
        document = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise DeviceFileError(f"{name}: no TOML: {error}") from error
    _known(document, {"device", "claims", "pins", "consent", "environment"}, name, "")
    device = _table(document, "device", name)
    keys = {"name", "kind", "vendor", "model", "module", "reader", "serial", "way", "profile"}
    _known(device, keys, name, "device.")
    kind = device.get("kind")
    if kind not in get_args(Kind):
        raise DeviceFileError(
            f"{name}: device.kind is {kind!r}; it must be one of {', '.join(get_args(Kind))}"
        )
    way = device.get("way", "pkcs11")
    if way not in get_args(Way):
        raise DeviceFileError(
            f"{name}: device.way is {way!r}; it must be one of {', '.join(get_args(Way))}"
        )
    consent = _table(document, "consent", name)
    _known(consent, {"erase"}, name, "consent.")
    result = DeviceFile(
        path=name,
        name=_text(device, "name", name, "device.") or name,
        kind=cast("Kind", kind),
        vendor=_text(device, "vendor", name, "device."),
        model=_text(device, "model", name, "device."),
        module=_text(device, "module", name, "device.")
        or (softhsm_module() if kind == "softhsm2" else ""),
        reader=_text(device, "reader", name, "device."),
        serial=_text(device, "serial", name, "device."),
        claims=_claims(_table(document, "claims", name), name),
        pins=_pins(_table(document, "pins", name), name),
        erase=_text(consent, "erase", name, "consent."),
        environment={
            key: _text(_table(document, "environment", name), key, name, "environment.")
            for key in _table(document, "environment", name)
        },
        way=cast("Way", way),
        profile=_profile(_text(device, "profile", name, "device."), name),
    )
    _complete(result)
    return result


def _profile(profile: str, name: str) -> str:
    """Take the path of a profile from where the device file is."""
    if profile.endswith(".toml"):
        return str(Path(name).absolute().parent / profile)
    return profile or "default"


def _complete(device: DeviceFile) -> None:
    """Check what a kind of device demands."""
    if device.way != "pkcs11" and device.kind != "emulated":
        raise DeviceFileError(f"{device.path}: device.way is for the kind emulated")
    if device.profile != "default" and device.kind != "emulated":
        raise DeviceFileError(f"{device.path}: device.profile is for the kind emulated")
    if not device.is_real:
        return
    if device.kind == "module" and not device.module:
        raise DeviceFileError(f"{device.path}: device.module is missing: the module's path")
    if device.kind == "reader" and not device.reader:
        raise DeviceFileError(f"{device.path}: device.reader is missing: the reader's name")
    if not device.serial:
        seen = {
            "module": "see it with: pkcs11-tool --module MODULE --list-token-slots",
            "reader": "name any, and the one that is there is told",
        }
        raise DeviceFileError(
            f"{device.path}: device.serial is missing: a real key is only touched when its serial "
            f"number is named ({seen[device.kind]})"
        )
    if device.erase and not device.may_erase:
        raise DeviceFileError(
            f"{device.path}: consent.erase must read exactly {device.consent_wanted!r}"
        )
    if device.may_erase and not (device.pins.user_env and device.pins.so_env):
        raise DeviceFileError(
            f"{device.path}: pins.user_env and pins.so_env are missing: the environment variables "
            "that hold the user PIN to set and the key's SO PIN"
        )
    if device.kind == "reader" and device.may_erase and not device.pins.management_env:
        raise DeviceFileError(
            f"{device.path}: pins.management_env is missing: the environment variable that holds "
            "the card's management key in hexadecimal"
        )


def _claims(table: Mapping[str, Any], name: str) -> Claims:
    _known(table, {"removable", "locks_after", "tells_tries", "unblocks"}, name, "claims.")
    locks_after = table.get("locks_after", 0)
    if isinstance(locks_after, bool) or not isinstance(locks_after, int) or locks_after < 0:
        raise DeviceFileError(f"{name}: claims.locks_after must be a whole number, 0 for never")
    tells = table.get("tells_tries", "nothing")
    if tells not in get_args(Tells):
        raise DeviceFileError(
            f"{name}: claims.tells_tries must be one of {', '.join(get_args(Tells))}"
        )
    return Claims(
        removable=_flag(table, "removable", name),
        locks_after=locks_after,
        tells_tries=cast("Tells", tells),
        unblocks=_flag(table, "unblocks", name),
    )


def _pins(table: Mapping[str, Any], name: str) -> Pins:
    known = {"user", "so", "user_env", "so_env", "management", "management_env"}
    _known(table, known, name, "pins.")
    return Pins(
        user=_text(table, "user", name, "pins.") or DEFAULT_USER_PIN,
        so=_text(table, "so", name, "pins.") or DEFAULT_SO_PIN,
        user_env=_text(table, "user_env", name, "pins."),
        so_env=_text(table, "so_env", name, "pins."),
        management=_text(table, "management", name, "pins.") or DEFAULT_MANAGEMENT,
        management_env=_text(table, "management_env", name, "pins."),
    )


def _known(table: Mapping[str, Any], keys: set[str], name: str, place: str) -> None:
    for key in table:
        if key not in keys:
            raise DeviceFileError(
                f"{name}: {place}{key} is unknown; known are {', '.join(sorted(keys))}"
            )


def _table(document: Mapping[str, Any], key: str, name: str) -> Mapping[str, Any]:
    value = document.get(key, {})
    if not isinstance(value, dict):
        raise DeviceFileError(f"{name}: {key} must be a table: [{key}]")
    return value


def _text(table: Mapping[str, Any], key: str, name: str, place: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise DeviceFileError(f"{name}: {place}{key} must be a text in quotes")
    return value


def _flag(table: Mapping[str, Any], key: str, name: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise DeviceFileError(f"{name}: claims.{key} must be true or false")
    return value

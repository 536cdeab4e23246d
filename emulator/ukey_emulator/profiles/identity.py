"""What a key says of itself, and how it is."""

from dataclasses import dataclass, field

from .quirks import Quirk
from .serial import SerialRule


@dataclass(frozen=True, slots=True)
class SlotFacts:
    """What C_GetSlotInfo tells of the slot that a key brings along (PKCS#11 3.2 §3.2).

    `description` may name the rack's name for the key as `{name}`.
    """

    description: str = "ukeylab slot of {name}"
    manufacturer: str = "ukeylab"
    hardware_version: tuple[int, int] = (1, 0)
    firmware_version: tuple[int, int] = (1, 0)
    removable: bool = True
    hardware: bool = True


@dataclass(frozen=True, slots=True)
class MechanismFacts:
    """What C_GetMechanismInfo tells of one mechanism: sizes of keys, and the CKF bits."""

    sizes: tuple[int, int]
    flags: int


@dataclass(frozen=True, slots=True)
class Timing:
    """How many seconds an operation takes: `what` is a PKCS#11 function or an APDU's INS.

    With a `mechanism` or `bits` only those operations whose mechanism or key is so.
    """

    what: str | int
    seconds: float
    mechanism: int | None = None
    bits: int | None = None


@dataclass(frozen=True, slots=True)
class Pad:
    """A PIN pad: how long it waits for its holder, and whether the host may send PINs as well."""

    timeout: float
    host_pins: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """The fixed facts of a key (PKCS#11 3.2 §3.2).

    `profile` is the name of the one that says this. `serial` has at most 16 characters, as
    `serials` makes them; versions are (major, minor), PIN lengths count bytes.
    `without` are the mechanisms (CKM) that this key does not have, `listed` those that it lists, in
    their order, if it is not simply all that it has, and `mechanisms` what it tells of them.
    `public_memory` and `private_memory` are bytes for token objects, `max_sessions` and
    `max_rw_sessions` what one program may open; None and 0 are no limit.
    As a card it has the answer to reset `atr`, if not ours, and it brings a reader called `reader`
    along, if any; `management` is the algorithm of its first card management key (NIST
    SP 800-78-5 table 6-2). A card that is `filled` answers for data objects that nobody has put.
    """

    profile: str = "default"
    serial: str = ""
    serials: SerialRule = field(default_factory=SerialRule)
    manufacturer: str = "ukeylab"
    model: str = "ukeylab test key"
    hardware_version: tuple[int, int] = (1, 0)
    firmware_version: tuple[int, int] = (1, 0)
    rng: bool = True
    dual_crypto: bool = True
    saves_digests: bool = True
    write_protected: bool = False
    slot: SlotFacts = field(default_factory=SlotFacts)
    min_pin_length: int = 4
    max_pin_length: int = 64
    pad: Pad | None = None
    without: frozenset[int] = frozenset()
    listed: tuple[int, ...] = ()
    mechanisms: tuple[tuple[int, MechanismFacts], ...] = ()
    public_memory: int | None = None
    private_memory: int | None = None
    max_sessions: int = 0
    max_rw_sessions: int = 0
    timing: tuple[Timing, ...] = ()
    quirks: frozenset[Quirk] = frozenset()
    reader: str = ""
    atr: bytes = b""
    management: int = 0x03
    filled: bool = True

"""What a key says of itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """The fixed facts of a key (PKCS#11 3.2 §3.2).

    `serial` has at most 16 characters, versions are (major, minor), PIN lengths count bytes.
    `without` are the mechanisms (CKM) that this key does not have. As a card it has the answer to
    reset `atr`, if not ours, and it brings a reader called `reader` along, if any;
    `management` is the algorithm of its first card management key (NIST SP 800-78-5 table 6-2).
    A card that is `filled` answers for data objects that nobody has put.
    """

    serial: str
    manufacturer: str = "ukeylab"
    model: str = "ukeylab test key"
    hardware_version: tuple[int, int] = (1, 0)
    firmware_version: tuple[int, int] = (1, 0)
    min_pin_length: int = 4
    max_pin_length: int = 64
    without: frozenset[int] = frozenset()
    reader: str = ""
    atr: bytes = b""
    management: int = 0x03
    filled: bool = True

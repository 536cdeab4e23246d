"""The card management key 9B, as the token keeps it (NIST SP 800-73-5 Part 1 §5.1)."""

import json

from ukey_emulator.chip import Chip

DEFAULT = bytes.fromhex("0102030405060708") * 3
"""What the key is until somebody sets another; its algorithm is what the chip came with."""

_NOTE = "piv management"


class Management:
    """The management key: algorithm, value, and whether it wants a touch.

    It lies open in the file of the key, since who proves that he has it gives no PIN.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip

    @property
    def algorithm(self) -> int:
        """The number of its algorithm (NIST SP 800-78-5 table 6-2)."""
        return self._read()[0]

    @property
    def key(self) -> bytes:
        """Its value."""
        return self._read()[1]

    @property
    def touch(self) -> bool:
        """Whether it was said to want a touch."""
        return self._read()[2]

    @property
    def is_default(self) -> bool:
        """Whether nobody has set another than the usual one."""
        return self._read()[:2] == (self._chip.identity.management, DEFAULT)

    def set(self, algorithm: int, key: bytes, *, touch: bool) -> None:
        """Replace it by a key that fits its algorithm."""
        note = json.dumps([algorithm, key.hex(), touch]).encode()
        self._chip.exchange((), (), {_NOTE: note})

    def _read(self) -> tuple[int, bytes, bool]:
        note = self._chip.noted(_NOTE)
        if note is None:
            return self._chip.identity.management, DEFAULT, False
        algorithm, key, touch = json.loads(note)
        return algorithm, bytes.fromhex(key), touch

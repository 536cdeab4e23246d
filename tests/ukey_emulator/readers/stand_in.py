"""A card that stands in for a key: it tells what was done to it, and does a few simple things."""

import threading
from types import SimpleNamespace

ATR = bytes.fromhex("3B80800101")
"""T=0 and T=1, no historical bytes"""

OK = b"\x90\x00"
PLAIN = bytes.fromhex("00C00000")
"""does nothing"""
SLOW = bytes.fromhex("00C50000")
"""is answered when the card's `go_on` is set"""
READ = bytes.fromhex("00C30000")
"""gives the byte that was written"""


def write(value: int) -> bytes:
    """Write one byte, which the card forgets without power."""
    return bytes([0, 0xC4, 0, value])


def echo(data: bytes) -> bytes:
    """Have data given back; always in the long form."""
    return bytes([0, 0xC2, 0, 0, 0]) + len(data).to_bytes(2) + data + b"\0\0"


def give(count: int) -> bytes:
    """Have that many bytes given."""
    return bytes([0, 0xC1]) + count.to_bytes(2)


class StandIn:
    """A card, and the chip of itself."""

    def __init__(self, atr: bytes = ATR, serial: str = "0123456789ABCDEF") -> None:
        self.atr = atr
        self.identity = SimpleNamespace(serial=serial)
        self.done: list[str] = []
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.powered = False
        self._written = 0

    def beware(self, faults: object) -> None:
        """As a chip is told of faults."""

    def power_on(self) -> bytes:
        self._begin("on", powered=True)
        return self.atr

    def power_off(self) -> None:
        self._begin("off", powered=False)

    def reset(self) -> bytes:
        self._begin("reset", powered=self.powered)
        return self.atr

    def transmit(self, command: bytes) -> bytes:
        match command[1:2]:
            case b"\xc1":
                return bytes(n & 0xFF for n in range(int.from_bytes(command[2:4]))) + OK
            case b"\xc2":
                return command[7:-2] + OK
            case b"\xc3":
                return bytes([self._written]) + OK
            case b"\xc4":
                self._written = command[3]
            case b"\xc5":
                self.entered.set()
                self.go_on.wait(20)
        return OK

    def _begin(self, what: str, *, powered: bool) -> None:
        self.done.append(what)
        self.powered = powered
        self._written = 0

"""A reader with a card that does nothing, ours or pcscd's: `card_host.py ours|pcscd`.

Prints the socket for PCSCLITE_CSOCK_NAME. Each line that comes in, `insert` or `remove`, is carried
out and answered with the monotonic clock's time just before it, in microseconds.
"""

import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ukey_emulator.readers.manager import ResourceManager
from ukey_emulator.readers.pcscd import Pcscd
from ukey_emulator.readers.vpcd import Link
from ukey_emulator.slots import Slots


class Nothing:
    """A card that answers 9000 to everything, and is its own chip."""

    atr = bytes.fromhex("3B80800101")
    identity = SimpleNamespace(serial="")

    def power_on(self) -> bytes:
        """Do nothing."""
        return self.atr

    def power_off(self) -> None:
        """Do nothing."""

    reset = power_on

    def beware(self, faults: object) -> None:
        """Have no store in which anything fails."""

    def transmit(self, command: bytes) -> bytes:
        """Say that all is well."""
        del command
        return b"\x90\x00"


def ours(closing: ExitStack) -> tuple[Path, Callable[[Any], None], Callable[[], None]]:
    """Give the socket of our resource manager, and how to insert and remove."""
    address = Path(closing.enter_context(tempfile.TemporaryDirectory())) / "pcscd.comm"
    slots = Slots()
    slot = slots.add("key")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    listener.listen()
    manager = ResourceManager(slots, lambda chip: chip, listener)  # type: ignore[arg-type, return-value]
    manager.start()
    closing.callback(manager.stop)
    return address, lambda card: slots.plug(slot, card), lambda: slots.unplug(slot)


def pcscd(closing: ExitStack) -> tuple[Path, Callable[[Any], None], Callable[[], None]]:
    """Give the socket of a pcscd of our own, and how to insert and remove."""
    daemon = closing.enter_context(Pcscd(1))
    link = Link(daemon.ports[0])
    closing.callback(link.close)
    return daemon.socket, link.insert, link.remove


def main() -> None:
    """Do as the first word says until the input ends."""
    with ExitStack() as closing:
        side = {"ours": ours, "pcscd": pcscd}[sys.argv[1]]
        address, insert, remove = side(closing)
        print(address, flush=True)
        for line in sys.stdin:
            begun = time.monotonic_ns() / 1000
            if line.strip() == "insert":
                insert(Nothing())
            else:
                remove()
            print(begun, flush=True)


if __name__ == "__main__":
    main()

"""The two that are asked the same: our resource manager, and a real pcscd with vpcd."""

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from stand_in import StandIn
from winscard import EMPTY, PRESENT, Program, outcome

from ukey_emulator.readers.manager import ResourceManager
from ukey_emulator.readers.pcscd import Pcscd
from ukey_emulator.readers.vpcd import Link
from ukey_emulator.slots import Slots

READERS = 2
SHORT = 0.3  # seconds, in which nothing must happen


def within(seconds: float, condition: Callable[[], object]) -> bool:
    """Wait until it is so, at most so long."""
    end = time.monotonic() + seconds
    while not (done := bool(condition())) and time.monotonic() < end:
        time.sleep(0.01)
    return done


class Waiting:
    """A call that waits in a thread of its own."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.rv = -1
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def waits(self) -> bool:
        self._thread.join(SHORT)
        return self._thread.is_alive()

    def outcome(self) -> int:
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self.rv

    def _run(self) -> None:
        self.rv = outcome(self._call)


class Side:
    """A resource manager with readers, and programs that talk to it."""

    def __init__(self, address: Path, closing: ExitStack) -> None:
        self.address = address
        self._closing = closing

    def insert(self, reader: int, card: StandIn) -> None:
        """Put a card in, and wait until that has been seen."""
        self._insert(reader, card)
        self._await(reader, PRESENT)

    def remove(self, reader: int) -> None:
        """Take the card out, and wait until that has been seen."""
        self.pull(reader)
        self._await(reader, EMPTY)

    def pull(self, reader: int) -> None:
        """Take the card out."""
        raise NotImplementedError

    def program(self) -> Program:
        """Start a program."""
        return self._closing.enter_context(Program(self.address))

    def name(self, reader: int) -> str:
        """Give the name of a reader."""
        return self._observer.readers()[reader]

    def begin(self) -> None:
        """Begin to observe."""
        self._observer = self.program()

    def _insert(self, reader: int, card: StandIn) -> None:
        raise NotImplementedError

    def _await(self, reader: int, flag: int) -> None:
        name = self.name(reader)
        assert within(10, lambda: self._observer.look(name).flags & flag)


class Ours(Side):
    """Our own resource manager, in this process."""

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        self.slots = Slots()
        for number in range(READERS):
            self.slots.add(f"key-{number + 1}")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "pcscd.comm"))
        listener.listen(128)
        make: Any = lambda chip: chip  # noqa: E731 - a stand-in is its own chip
        self.manager = ResourceManager(self.slots, make, listener)
        self.manager.start()
        super().__init__(folder / "pcscd.comm", closing)

    def pull(self, reader: int) -> None:
        self.slots.unplug(list(self.slots)[reader])

    def _insert(self, reader: int, card: StandIn) -> None:
        chip: Any = card
        self.slots.plug(list(self.slots)[reader], chip)


class Theirs(Side):
    """A pcscd; its readers are vpcd's."""

    def __init__(self, pcscd: Pcscd, closing: ExitStack) -> None:
        self._links = [Link(port) for port in pcscd.ports]
        for link in self._links:
            closing.callback(link.close)
        super().__init__(pcscd.socket, closing)

    def pull(self, reader: int) -> None:
        self._links[reader].remove()

    def _insert(self, reader: int, card: StandIn) -> None:
        chip: Any = card
        self._links[reader].insert(chip)


@contextmanager
def side_of(kind: str) -> Iterator[Side]:
    """Give one side by its name, ours or pcscd."""
    with ExitStack() as closing:
        side: Side
        if kind == "ours":
            folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="ukey-"))
            side = Ours(Path(folder), closing)
            closing.callback(side.manager.stop)
        else:
            side = Theirs(closing.enter_context(Pcscd(READERS)), closing)
        side.begin()
        yield side

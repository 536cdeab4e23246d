"""The rack put together: slots, keys, the PKCS#11 face, the readers and the control port."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from ukey_emulator.card.card import Card
from ukey_emulator.chip import Chip
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.readers.links import Links
from ukey_emulator.readers.manager import SOCKET_NAME as READERS_SOCKET
from ukey_emulator.readers.manager import ResourceManager
from ukey_emulator.readers.pcscd import Pcscd, PcscdError
from ukey_emulator.slots import Slots

from .commands import commands
from .control import SOCKET_NAME as CONTROL_SOCKET
from .control import ControlServer
from .events import Events
from .faults import RackFaults
from .home import Home, RackError, is_ours
from .keyring import Keyring
from .pads import Pads
from .server import SOCKET_NAME as MODULE_SOCKET
from .server import ModuleServer
from .status import StatusInfo, slots_of
from .trace import Trace
from .tracing import Tracing

_LINKING = 10.0  # seconds


class Rack:
    """A rack that serves the keys of a folder, from `start` to `stop` or as a context manager.

    A rack whose keys are not `lasting` is for a folder that is deleted afterwards.
    RackError if the folder cannot be used or another rack serves it.
    """

    def __init__(self, home: Path, *, lasting: bool = True) -> None:
        self.path = home
        self._lasting = lasting
        self.trace = Trace()
        self._slots = Slots()
        self.tracing = Tracing(self.trace, self._slots.epoch)
        self.events = Events(self._slots)
        self._home: Home | None = None

    def start(self) -> None:
        """Open the folder, plug in its keys and listen."""
        home = Home(self.path)
        self._home = home
        self.keys = Keyring(self.path / "keys", self._slots, lasting=self._lasting)
        self.pads = Pads(self.keys, self._slots)
        self._module = ModuleServer(
            home,
            Face(self._slots, self.trace.note),
            self._slots.epoch,
            self.trace.note_told,
        )
        self._module.start()
        self._readers = ResourceManager(
            self._slots, self._card, home.listen(READERS_SOCKET), is_ours
        )
        self._readers.start()
        told = commands(
            self.keys,
            self.pads,
            faults=RackFaults(self._slots.faults, self.keys),
            trace=self.trace,
            tracing=self.tracing,
            events=self.events,
            status=self.status,
        )
        self._control = ControlServer(home, told)

    def stop(self) -> None:
        """Hang up on all programs, pull out the keys and leave the folder."""
        home, self._home = self._home, None
        if home is None:
            return
        self._control.stop()
        self._slots.stop()
        self._readers.stop()
        self._module.stop()
        self.keys.close()
        home.close(MODULE_SOCKET, READERS_SOCKET, CONTROL_SOCKET)

    def status(self) -> StatusInfo:
        """Tell what the rack looks like; what happens meanwhile may be in it or not."""
        programs, calls = self._module.applications(), self.trace.last
        slots = slots_of(self._slots, programs, self._readers.name_of)
        home, keys = str(self.path.absolute()), len(self.keys.list())
        return StatusInfo(home, keys, len(programs), calls, slots)

    @contextmanager
    def pcscd(self) -> Iterator[Path]:
        """Have the keys in the readers of a real pcscd of their own; gives its socket.

        RackError if there is no pcscd to be had, or a key does not come to work in its reader.
        """
        try:
            daemon = Pcscd(max(1, len(self.keys.list())))
            daemon.start()
        except PcscdError as fault:
            raise RackError(str(fault)) from fault
        try:
            with Links(self._slots, self._card, daemon.ports) as links:
                if missing := links.wait(_LINKING):
                    raise RackError(
                        f"in pcscd there is no reader for {', '.join(missing)}: too many for it, "
                        f"or another program has taken its port; it says: {daemon.log()}"
                    )
                yield daemon.socket
        finally:
            daemon.stop()

    @property
    def slots(self) -> Slots:
        """The slots, with the keys in them."""
        return self._slots

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _card(self, chip: Chip) -> Card:
        slots = self._slots
        key = next((slot.key for slot in slots if slot.chip is chip), None)
        note = partial(self.trace.note_card, key)
        return Card(chip, slots.epoch, note, slots.linger, slots)

"""The resource manager: the readers of a rack for the clients of pcsc-lite."""

import logging
import socket
from collections.abc import Callable

from ukey_emulator.chip import Chip
from ukey_emulator.door import Door
from ukey_emulator.slots import Slots

from .client import Client
from .messages import MessageError
from .reader import Card
from .readers import Readers

_log = logging.getLogger(__name__)

SOCKET_NAME = "pcscd.comm"
_ENDING = 5.0  # seconds at most for the threads of clients


class ResourceManager:
    """Stands where pcscd would: libpcsclite finds it by PCSCLITE_CSOCK_NAME.

    Each slot is a reader, each key in it a card, which `make_card` makes. It answers clients that
    come by `listener` and that `admits`, each in a thread of its own, from `start` to `stop`.
    """

    def __init__(
        self,
        slots: Slots,
        make_card: Callable[[Chip], Card],
        listener: socket.socket,
        admits: Callable[[socket.socket], bool] = lambda _: True,
    ) -> None:
        self._readers = Readers(slots, make_card)
        self._door = Door(listener, self._serve, admits, "ukey-readers")

    def start(self) -> None:
        """Make the readers and begin to answer."""
        self._readers.start()
        self._door.open()

    def stop(self) -> None:
        """Hang up on everyone, take the readers away, and the power of the cards."""
        if self._door.shut():
            self._door.hang_up()
            self._readers.stop()
            self._door.close(_ENDING)

    def name_of(self, slot: int) -> str | None:
        """Give the name of a slot's reader; None while there is none."""
        return self._readers.name_of(slot)

    def _serve(self, connection: socket.socket) -> None:
        try:
            Client(self._readers, connection).talk()
        except MessageError as fault:
            _log.warning("a program's connection was ended: %s", fault)

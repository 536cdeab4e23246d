"""The link to vpcd, the driver of a reader that is not there, which a real pcscd may have loaded.

The card is the client of a TCP port of vpcd. A message, either way, is its length in two bytes,
big-endian, and that many bytes. From the reader, one byte alone is a control byte; only the
question for the ATR is answered. Anything longer is a command APDU, and its answer is awaited.
"""

import contextlib
import logging
import socket
import struct
import threading
import time

from .reader import Card

_log = logging.getLogger(__name__)

_POWER_OFF = b"\x00"
_POWER_ON = b"\x01"
_RESET = b"\x02"
_ATR = b"\x04"

_LENGTH = struct.Struct(">H")
_LONGEST = 0xFFFF
_TOO_LONG = b"\x6f\x00"  # in the place of an answer that no message can carry
_CHUNK = 4096

_CONNECTING = 1.0  # seconds; a port of this machine answers at once or never
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.5  # about as long as pcscd itself takes to see a card
_ENDING = 5.0

_RST = struct.pack("ii", 1, 0)


class Link:
    """A reader of vpcd, at one port, and the card that stands in it, if any.

    The connection is what tells that a card is there: it is made when a card is put in and made
    again when vpcd has gone and come back, and broken off when the card is taken out. The card
    works in a thread of its own; one that loses its reader loses its power.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._address = (host, port)
        self._changed = threading.Condition()
        self._card: Card | None = None
        self._connection: socket.socket | None = None
        self._at_work = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"ukey-vpcd-{port}")
        self._thread.start()

    def insert(self, card: Card) -> None:
        """Put a card in; one that is there is taken out before."""
        self._change(card)

    def remove(self) -> None:
        """Take the card out, if there is one; it answers nothing any more."""
        self._change(None)

    def wait(self, seconds: float) -> bool:
        """Wait until the reader has seen the card and powered it, at most so long; false if not."""
        with self._changed:
            return self._changed.wait_for(lambda: self._at_work, seconds)

    def close(self) -> None:
        """Take the card out for good; the thread has ended then."""
        with self._changed:
            self._closed = True
        self._change(None)
        self._thread.join(_ENDING)

    def _change(self, card: Card | None) -> None:
        with self._changed:
            self._card = card
            self._at_work = False
            if self._connection is not None:
                # Wakes the thread and sends nothing: how the connection ends, _hang_up says.
                with contextlib.suppress(OSError):
                    self._connection.shutdown(socket.SHUT_RD)
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._card is not None or self._closed)
                card = self._card
            if card is None:
                return
            self._stay(card)

    def _stay(self, card: Card) -> None:
        """Connect the card, and again whenever the reader has gone, until it is taken out."""
        pause = _FIRST_PAUSE
        while self._card is card:
            began = time.monotonic()
            connection = self._connect(card)
            if connection is not None:
                try:
                    self._serve(card, connection)
                except OSError as fault:
                    _log.debug("the reader at port %d has gone: %s", self._address[1], fault)
                finally:
                    self._hang_up(connection)
                    card.power_off()
                if time.monotonic() - began > _LONGEST_PAUSE:
                    pause = _FIRST_PAUSE
            with self._changed:
                self._changed.wait_for(lambda: self._card is not card, pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _connect(self, card: Card) -> socket.socket | None:
        connection = socket.socket()
        try:
            connection.settimeout(_CONNECTING)
            connection.connect(self._address)
            if connection.getsockname() == connection.getpeername():
                raise ConnectionRefusedError("nobody listens, the port has met itself")
            connection.settimeout(None)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                if self._card is card:
                    self._connection = connection
                    return connection
        except OSError as fault:
            _log.debug("no reader at port %d: %s", self._address[1], fault)
        connection.close()
        return None

    def _hang_up(self, connection: socket.socket) -> None:
        """Break off in the middle of an answer, with a reset.

        To vpcd anything else is an empty answer to the command that it may just have sent, and the
        program sees one that succeeded; this is a fault of the transmission to both
        (SCARD_E_NOT_TRANSACTED).
        """
        with self._changed:
            self._connection = None
        with connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
            connection.sendall(_LENGTH.pack(_LENGTH.size))

    def _serve(self, card: Card, connection: socket.socket) -> None:
        """Answer the reader's messages until it hangs up or the card is taken out."""
        received = bytearray()
        powered = False
        while (message := _receive(connection, received)) is not None and self._card is card:
            if len(message) > 1:
                card.is_awaited = lambda: _is_there(connection)
                answer = card.transmit(message)
                if len(answer) > _LONGEST:
                    _log.warning("an answer of %d bytes is too long for vpcd", len(answer))
                    answer = _TOO_LONG
            elif message == _ATR:
                answer = card.atr
            else:
                _control(card, message)
                powered = message == _POWER_ON
                continue
            if self._card is not card:
                return
            connection.sendall(_LENGTH.pack(len(answer)) + answer)
            if powered and not self._at_work:
                with self._changed:
                    self._at_work = self._card is card
                    self._changed.notify_all()


def _control(card: Card, message: bytes) -> None:
    """Do what a control byte says, or nothing if it is none: it has no answer either way."""
    if message == _POWER_ON:
        card.power_on()
    elif message == _POWER_OFF:
        card.power_off()
    elif message == _RESET:
        card.reset()
    else:
        _log.warning("the reader sent an unknown control: %s", message.hex() or "nothing")


def _is_there(connection: socket.socket) -> bool:
    """Tell whether the reader has not hung up, nor the card been taken out."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True


def _receive(connection: socket.socket, received: bytearray) -> bytes | None:
    """Give the next message, None when there is no more; `received` keeps what came after it."""
    needed = _LENGTH.size
    while True:
        if len(received) >= _LENGTH.size:
            needed = _LENGTH.size + _LENGTH.unpack_from(received)[0]
            if len(received) >= needed:
                message = bytes(received[_LENGTH.size : needed])
                del received[:needed]
                return message
        # vpcd sends the length and the rest apart, and the rest only once the length has been
        # acknowledged; left alone, the kernel takes 40 ms for that. It forgets this with each use.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        chunk = connection.recv(_CHUNK)
        if not chunk:
            return None
        received += chunk

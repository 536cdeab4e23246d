"""libpcsclite as a program sees it, by ctypes; each program here has a copy of its own.

The library reads PCSCLITE_CSOCK_NAME only once, and keeps the states of the readers in one place
for all its contexts: a copy of the file is another library.
"""

import ctypes
import os
import shutil
import tempfile
from collections.abc import Sequence
from ctypes import byref, c_char_p, c_long, c_ubyte, c_ulong, c_void_p, create_string_buffer
from pathlib import Path
from typing import Any, NamedTuple, Self

from ukey_emulator.readers.terms import SCARD, Disposition, Protocol, Share

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/libpcsclite.so.1")
PNP = "\\\\?PnP?\\Notification"
INFINITE = 0xFFFFFFFF
LONGEST = 65548
ANY = Protocol.T0 | Protocol.T1

UNAWARE, CHANGED, EMPTY, PRESENT, EXCLUSIVE, INUSE, MUTE = 0, 2, 0x10, 0x20, 0x80, 0x100, 0x200
TIMEOUT, NO_SERVICE, NO_READERS = 0x8010000A, 0x8010001D, 0x8010002E


class _IoRequest(ctypes.Structure):
    _fields_ = (("protocol", c_ulong), ("length", c_ulong))


class _ReaderState(ctypes.Structure):
    _fields_ = (
        ("reader", c_char_p),
        ("user", c_void_p),
        ("current", c_ulong),
        ("event", c_ulong),
        ("atr_length", c_ulong),
        ("atr", c_ubyte * 33),
    )


class Seen(NamedTuple):
    """What SCardGetStatusChange tells of a reader; `state` includes the count of events."""

    state: int
    atr: bytes

    @property
    def flags(self) -> int:
        return self.state & 0xFFFF

    @property
    def count(self) -> int:
        return self.state >> 16


class Status(NamedTuple):
    """What SCardStatus tells."""

    reader: str
    state: int
    protocol: int
    atr: bytes


class Failed(Exception):  # noqa: N818 - it is what a call has done
    """A call that has not succeeded; `needed` is the length that it gives."""

    def __init__(self, rv: int, needed: int = 0) -> None:
        super().__init__(SCARD(rv).name if rv in set(SCARD) else hex(rv))
        self.rv = rv
        self.needed = needed


def outcome(call: Any, *arguments: Any, **named: Any) -> int:
    """Make a call and give its return value alone."""
    try:
        call(*arguments, **named)
    except Failed as failed:
        return failed.rv
    return SCARD.S_SUCCESS


def _check(rv: int, needed: int = 0) -> None:
    if rv & 0xFFFFFFFF:
        raise Failed(rv & 0xFFFFFFFF, needed)


class Program:
    """A program with a context; what fails is Failed."""

    def __init__(self, address: Path, library: Path = LIBRARY) -> None:
        with tempfile.NamedTemporaryFile(suffix=".so") as copy:
            shutil.copyfile(library, copy.name)
            self._library = ctypes.CDLL(copy.name)
        before = os.environ.get("PCSCLITE_CSOCK_NAME")
        os.environ["PCSCLITE_CSOCK_NAME"] = str(address)
        try:
            self.context = c_long()
            _check(self._call("SCardEstablishContext", c_ulong(2), None, None, byref(self.context)))
        finally:
            del os.environ["PCSCLITE_CSOCK_NAME"]
            if before is not None:
                os.environ["PCSCLITE_CSOCK_NAME"] = before

    def _call(self, name: str, *arguments: Any) -> int:
        function = self._library[name]
        function.restype = c_long
        return int(function(*arguments))

    def release(self) -> None:
        _check(self._call("SCardReleaseContext", self.context))

    def readers(self) -> list[str]:
        length = c_ulong()
        rv = self._call("SCardListReaders", self.context, None, None, byref(length))
        if rv & 0xFFFFFFFF == NO_READERS:
            return []
        _check(rv)
        names = create_string_buffer(length.value)
        _check(self._call("SCardListReaders", self.context, None, names, byref(length)))
        return [name.decode() for name in names.raw.split(b"\0") if name]

    def wait(self, *known: tuple[str, int], milliseconds: int = 5000) -> list[Seen]:
        """SCardGetStatusChange: pairs of reader and state that is known of it."""
        states = (_ReaderState * len(known))()
        for state, (reader, current) in zip(states, known, strict=True):
            state.reader, state.current = reader.encode(), current
        _check(
            self._call(
                "SCardGetStatusChange",
                self.context,
                c_ulong(milliseconds),
                states,
                c_ulong(len(known)),
            )
        )
        return [Seen(state.event, bytes(state.atr[: state.atr_length])) for state in states]

    def look(self, reader: str) -> Seen:
        """Tell how it is with a reader now."""
        return self.wait((reader, UNAWARE))[0]

    def cancel(self) -> None:
        _check(self._call("SCardCancel", self.context))

    def connect(self, reader: str, share: int = Share.SHARED, protocols: int = ANY) -> "Connection":
        card, active = c_long(), c_ulong()
        _check(
            self._call(
                "SCardConnect",
                self.context,
                reader.encode(),
                c_ulong(share),
                c_ulong(protocols),
                byref(card),
                byref(active),
            )
        )
        return Connection(self, card, active.value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._call("SCardReleaseContext", self.context)


class Connection:
    """What SCardConnect gives."""

    def __init__(self, program: Program, card: c_long, protocol: int) -> None:
        self._call = program._call
        self.card = card
        self.protocol = protocol

    def reconnect(
        self, share: int = Share.SHARED, protocols: int = ANY, initialization: int = 0
    ) -> int:
        active = c_ulong()
        _check(
            self._call(
                "SCardReconnect",
                self.card,
                c_ulong(share),
                c_ulong(protocols),
                c_ulong(initialization),
                byref(active),
            )
        )
        self.protocol = active.value
        return active.value

    def disconnect(self, disposition: int = Disposition.LEAVE) -> None:
        _check(self._call("SCardDisconnect", self.card, c_ulong(disposition)))

    def begin(self) -> None:
        _check(self._call("SCardBeginTransaction", self.card))

    def end(self, disposition: int = Disposition.LEAVE) -> None:
        _check(self._call("SCardEndTransaction", self.card, c_ulong(disposition)))

    def status(self) -> Status:
        reader, length = create_string_buffer(256), c_ulong(256)
        atr, atr_length = create_string_buffer(33), c_ulong(33)
        state, protocol = c_ulong(), c_ulong()
        _check(
            self._call(
                "SCardStatus",
                self.card,
                reader,
                byref(length),
                byref(state),
                byref(protocol),
                atr,
                byref(atr_length),
            )
        )
        return Status(
            reader.value.decode(), state.value, protocol.value, atr.raw[: atr_length.value]
        )

    def transmit(self, command: bytes, protocol: int = 0, room: int = LONGEST) -> bytes:
        answer, length = create_string_buffer(room), c_ulong(room)
        send = _IoRequest(protocol or self.protocol, ctypes.sizeof(_IoRequest))
        rv = self._call(
            "SCardTransmit",
            self.card,
            byref(send),
            command,
            c_ulong(len(command)),
            None,
            answer,
            byref(length),
        )
        _check(rv, length.value)
        return answer.raw[: length.value]

    def control(self, code: int, data: bytes = b"", room: int = 256) -> bytes:
        answer, length = create_string_buffer(room), c_ulong()
        rv = self._call(
            "SCardControl",
            self.card,
            c_ulong(code),
            data,
            c_ulong(len(data)),
            answer,
            c_ulong(room),
            byref(length),
        )
        _check(rv, length.value)
        return answer.raw[: length.value]

    def attribute(self, attribute: int, room: int = 264) -> bytes:
        value, length = create_string_buffer(room), c_ulong(room)
        rv = self._call("SCardGetAttrib", self.card, c_ulong(attribute), value, byref(length))
        _check(rv, length.value)
        return value.raw[: length.value]

    def set_attribute(self, attribute: int, value: bytes) -> None:
        _check(
            self._call("SCardSetAttrib", self.card, c_ulong(attribute), value, c_ulong(len(value)))
        )


def all_of(programs: Sequence[Program]) -> None:
    """Release the contexts of programs."""
    for program in programs:
        program.release()

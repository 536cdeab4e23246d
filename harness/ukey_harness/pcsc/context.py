"""Calls of the resource manager by their own names, written down as they are made.

Nothing here judges and nothing raises for what a card or a reader does: each call gives the name
of what it returned (S_SUCCESS, W_RESET_CARD…) and its values.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from smartcard import scard

from ukey_harness.pcsc.apdu import Answer, shortened, shown
from ukey_harness.pcsc.returns import STATES, return_name

SHARED = int(scard.SCARD_SHARE_SHARED)
EXCLUSIVE = int(scard.SCARD_SHARE_EXCLUSIVE)
DIRECT = int(scard.SCARD_SHARE_DIRECT)
LEAVE = int(scard.SCARD_LEAVE_CARD)
RESET = int(scard.SCARD_RESET_CARD)
UNPOWER = int(scard.SCARD_UNPOWER_CARD)
UNAWARE = int(scard.SCARD_STATE_UNAWARE)
PRESENT = int(scard.SCARD_STATE_PRESENT)
EMPTY = int(scard.SCARD_STATE_EMPTY)
CHANGED = int(scard.SCARD_STATE_CHANGED)
T0 = int(scard.SCARD_PROTOCOL_T0)
T1 = int(scard.SCARD_PROTOCOL_T1)
ANY_PROTOCOL = T0 | T1
PCI = {T0: scard.SCARD_PCI_T0, T1: scard.SCARD_PCI_T1}
PLUG_AND_PLAY = "\\\\?PnP?\\Notification"  # stands for the list of readers itself
SUCCESS = "S_SUCCESS"

# What a call was, what it returned, how long it took in microseconds, and its arguments.
Watch = Callable[[str, str, int, dict[str, Any]], None]


def _unwatched(function: str, name: str, spent: int, arguments: dict[str, Any]) -> None:
    del function, name, spent, arguments


@dataclass(frozen=True)
class ReaderStatus:
    """A reader's entry of SCardGetStatusChange; `state` holds the event count in its upper half."""

    reader: str
    state: int
    atr: bytes

    @property
    def count(self) -> int:
        """How often a card was put in or taken out, as the resource manager counts."""
        return self.state >> 16 & 0xFFFF

    @property
    def names(self) -> list[str]:
        """The names of the state's bits, SCARD_STATE_ left out."""
        return [name for bit, name in STATES.items() if self.state & bit]


class Connection:
    """A card that SCardConnect has given; `protocol` is the one that was agreed on."""

    def __init__(self, context: "Context", handle: int, protocol: int) -> None:
        self._context = context
        self.handle = handle
        self.protocol = protocol

    def transmit(self, apdu: bytes, protocol: int = 0) -> Answer:
        """SCardTransmit; with another protocol's PCI than the agreed one if that is named."""
        pci = PCI[protocol or self.protocol]
        begun = time.perf_counter_ns()
        code, response = scard.SCardTransmit(self.handle, pci, list(apdu))
        spent = (time.perf_counter_ns() - begun) // 1000
        name = return_name(code)
        answer = Answer(name, bytes(response) if name == SUCCESS else b"")
        told = {"command": shown(apdu), "response": shortened(answer.response)}
        self._context.watch("SCardTransmit", answer.word, spent, told)
        return answer

    def status(self) -> tuple[str, bytes]:
        """SCardStatus; its name and the ATR."""
        code, *values = self._context.call("SCardStatus", self.handle)
        return return_name(code), bytes(values[-1]) if values and code == 0 else b""

    def begin(self) -> str:
        """SCardBeginTransaction."""
        return return_name(self._context.call("SCardBeginTransaction", self.handle)[0])

    def end(self, disposition: int = LEAVE) -> str:
        """SCardEndTransaction."""
        return return_name(self._context.call("SCardEndTransaction", self.handle, disposition)[0])

    def reconnect(self, initialization: int = LEAVE, share: int = SHARED) -> str:
        """SCardReconnect."""
        code, protocol = self._context.call(
            "SCardReconnect", self.handle, share, ANY_PROTOCOL, initialization
        )
        if code == 0:
            self.protocol = int(protocol)
        return return_name(code)

    def disconnect(self, disposition: int = LEAVE) -> str:
        """SCardDisconnect."""
        return return_name(self._context.call("SCardDisconnect", self.handle, disposition)[0])


class Context:
    """SCardEstablishContext; `name` is what it returned. `watch` is told of every call."""

    def __init__(self, watch: Watch = _unwatched) -> None:
        self.watch = watch
        code, self._context = self.call("SCardEstablishContext", int(scard.SCARD_SCOPE_SYSTEM))
        self.name = return_name(code)

    def readers(self) -> list[str]:
        """SCardListReaders; none when there is none."""
        code, readers = self.call("SCardListReaders", self._context, [])
        return list(readers) if code == 0 else []

    def connect(
        self, reader: str, share: int = SHARED, protocol: int = ANY_PROTOCOL
    ) -> tuple[str, Connection]:
        """SCardConnect; the connection is of use if the name is S_SUCCESS."""
        code, handle, agreed = self.call("SCardConnect", self._context, reader, share, protocol)
        return return_name(code), Connection(self, int(handle), int(agreed))

    def status_change(
        self, known: Sequence[tuple[str, int]], seconds: float = 0.0
    ) -> tuple[str, list[ReaderStatus]]:
        """SCardGetStatusChange for readers, each with the state that it is known to be in."""
        milliseconds = int(seconds * 1000)
        code, states = self.call(
            "SCardGetStatusChange", self._context, milliseconds, [*map(tuple, known)]
        )
        given = states if code == 0 else []
        return return_name(code), [ReaderStatus(each[0], each[1], bytes(each[2])) for each in given]

    def cancel(self) -> str:
        """SCardCancel."""
        return return_name(self.call("SCardCancel", self._context)[0])

    def release(self) -> str:
        """SCardReleaseContext."""
        return return_name(self.call("SCardReleaseContext", self._context)[0])

    def call(self, function: str, *arguments: Any) -> list[Any]:  # noqa: ANN401 - handles, lists
        """Call a function of the resource manager; return its code and what else it gave."""
        begun = time.perf_counter_ns()
        given = getattr(scard, function)(*arguments)
        spent = (time.perf_counter_ns() - begun) // 1000
        values = list(given) if isinstance(given, list | tuple) else [given]
        told = [repr(each) if isinstance(each, str) else str(each) for each in arguments[1:]]
        self.watch(function, return_name(values[0]), spent, {"given": ", ".join(told)})
        return values

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

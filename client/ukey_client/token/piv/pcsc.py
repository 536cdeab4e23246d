"""Readers and cards through PC/SC, with the calls of winscard that pyscard gives."""

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from typing import Any, Final

from ukey_client.errors import ReadersUnusable, TokenFailed, TokenRemoved

_SERVICE: Final = "SCARD_E_NO_SERVICE"
_GONE: Final = frozenset(
    {
        "SCARD_E_NO_SMARTCARD",
        "SCARD_W_REMOVED_CARD",
        "SCARD_W_RESET_CARD",
        "SCARD_E_READER_UNAVAILABLE",
        "SCARD_E_UNKNOWN_READER",
        "SCARD_E_NO_READERS_AVAILABLE",
        "SCARD_E_NOT_TRANSACTED",
        "SCARD_E_INVALID_HANDLE",
        "SCARD_E_SERVICE_STOPPED",
        "SCARD_F_COMM_ERROR",
        _SERVICE,
    }
)
_EVENTS: Final = 16
"""The upper half of a reader's state counts insertions and removals (pcsc-lite)."""


class Readers:
    """The resource manager of this machine; make one to ask it, `close` it afterwards."""

    def __init__(self) -> None:
        """Connect; ReadersUnusable says what is missing on this machine."""
        self._calls = _winscard()
        code, self._context = self._calls.SCardEstablishContext(self._calls.SCARD_SCOPE_SYSTEM)
        if code:
            raise ReadersUnusable(_missing_service(_name(code)))
        self._users = 1

    def names(self) -> list[str]:
        """List the readers."""
        code, names = self._calls.SCardListReaders(self._context, [])
        if _name(code) == "SCARD_E_NO_READERS_AVAILABLE":
            return []
        if code:
            raise ReadersUnusable(_missing_service(_name(code)))
        return list(names)

    def has_card(self, reader: str) -> bool:
        """Whether a card is in the reader."""
        return bool(self.state(reader) & self._calls.SCARD_STATE_PRESENT)

    def state(self, reader: str) -> int:
        """Give flags and event counter of a reader, 0 if it has gone."""
        asked = [(reader, self._calls.SCARD_STATE_UNAWARE)]
        code, states = self._calls.SCardGetStatusChange(self._context, 0, asked)
        return int(states[0][1]) if not code and states else 0

    def connect(self, reader: str) -> "ReaderLine":
        """Open the card in a reader, shared with others; TokenRemoved, TokenFailed."""
        protocols = self._calls.SCARD_PROTOCOL_T0 | self._calls.SCARD_PROTOCOL_T1
        code, card, protocol = self._calls.SCardConnect(
            self._context, reader, self._calls.SCARD_SHARE_SHARED, protocols
        )
        _check(code, "打开")
        self._users += 1
        return ReaderLine(self, reader, card, protocol)

    def close(self) -> None:
        """Let go; the context lives on for as long as cards of it are open."""
        self._users -= 1
        if not self._users:
            self._calls.SCardReleaseContext(self._context)


class ReaderLine:
    """The line to a card in a reader; see `Line`."""

    def __init__(self, readers: Readers, reader: str, card: int, protocol: int) -> None:
        self._calls = _winscard()
        self._readers = readers
        self._reader = reader
        self._card = card
        self._pci = (
            self._calls.SCARD_PCI_T0
            if protocol == self._calls.SCARD_PROTOCOL_T0
            else self._calls.SCARD_PCI_T1
        )
        self._events = readers.state(reader) >> _EVENTS
        self._generation = 0
        self._depth = 0
        self._closed = False

    @property
    def reader(self) -> str:
        """Name of the reader."""
        return self._reader

    @property
    def generation(self) -> int:
        """How often the card was reset by others."""
        return self._generation

    def transmit(self, command: bytes) -> bytes:
        """Send one command APDU; give data and status word."""
        code, answer = self._calls.SCardTransmit(self._card, self._pci, list(command))
        _check(code, "通信")
        # A card that dies while it is asked gives nothing at all, and no error.
        if len(answer) < 2:  # noqa: PLR2004 - the status word
            raise TokenRemoved
        return bytes(answer)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep other programs away from the card."""
        if not self._depth:
            self._begin()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                # What goes wrong here has gone wrong before, or does so at the next command.
                self._calls.SCardEndTransaction(self._card, self._calls.SCARD_LEAVE_CARD)

    def reset(self) -> None:
        """Reset the card."""
        self._reconnect(self._calls.SCARD_RESET_CARD)

    def close(self) -> None:
        """Let go of card and context."""
        if not self._closed:
            self._closed = True
            self._calls.SCardDisconnect(self._card, self._calls.SCARD_LEAVE_CARD)
            self._readers.close()

    def _begin(self) -> None:
        code = self._calls.SCardBeginTransaction(self._card)
        if _name(code) == "SCARD_W_RESET_CARD":
            # A card that was taken out and put back looks the same; its events tell.
            if self._readers.state(self._reader) >> _EVENTS != self._events:
                raise TokenRemoved
            self._reconnect(self._calls.SCARD_LEAVE_CARD)
            code = self._calls.SCardBeginTransaction(self._card)
        _check(code, "打开")

    def _reconnect(self, initialization: int) -> None:
        protocols = self._calls.SCARD_PROTOCOL_T0 | self._calls.SCARD_PROTOCOL_T1
        code, _ = self._calls.SCardReconnect(
            self._card, self._calls.SCARD_SHARE_SHARED, protocols, initialization
        )
        _check(code, "打开")
        self._generation += 1


@functools.cache
def _winscard() -> Any:  # noqa: ANN401 - pyscard has no types
    """Load pyscard; ReadersUnusable names what must be installed."""
    if sys.platform == "linux":
        try:
            # pyscard itself only prints that the library is missing, and then finds no service.
            ctypes.CDLL("libpcsclite.so.1")
        except OSError as error:
            raise ReadersUnusable(
                "没有 libpcsclite。请安装它（Debian/Ubuntu：apt-get install libpcsclite1）"
            ) from error
    try:
        from smartcard import scard  # noqa: PLC0415 - an extra, and only needed with a reader
    except ImportError as error:
        raise ReadersUnusable(
            "没有安装 pyscard。请执行 pip install 'ukeylab[pcsc]'"
            "（在 Linux 上先要 gcc、swig 和 libpcsclite-dev）"
        ) from error
    return scard


def _missing_service(name: str) -> str:
    if name == _SERVICE:
        if socket := os.environ.get("PCSCLITE_CSOCK_NAME"):
            return (
                f"智能卡服务没有运行：环境变量 PCSCLITE_CSOCK_NAME 指向的 {socket} 无人应答。"
                "请启动提供它的程序（如 ukey rack），或取消该环境变量"
            )
        return (
            "智能卡服务没有运行。请安装并启动 pcscd"
            "（Debian/Ubuntu：apt-get install pcscd；systemctl start pcscd）"
        )
    return f"智能卡服务应答 {name}"


def _check(code: int, action: str) -> None:
    name = _name(code)
    if name in _GONE:
        raise TokenRemoved
    if name == "SCARD_E_SHARING_VIOLATION":
        raise TokenFailed(action, "正被其他程序独占使用")
    if code:
        raise TokenFailed(action, name)


def _name(code: int) -> str:
    """Give the PC/SC name of a return code, its number where it has none."""
    return _names().get(code & 0xFFFFFFFF, f"0x{code & 0xFFFFFFFF:08X}")


@functools.cache
def _names() -> dict[int, str]:
    calls = _winscard()
    return {
        int(getattr(calls, name)) & 0xFFFFFFFF: name
        for name in dir(calls)
        if name.startswith(("SCARD_E_", "SCARD_W_", "SCARD_F_"))
    }

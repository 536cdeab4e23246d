"""Stands between libpcsclite and a resource manager, and spoils what passes (pcsc-lite's 4:4)."""

import re
import select
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

HEADER = struct.Struct("=II")  # size, command
COMMANDS = {
    0x01: "ESTABLISH", 0x02: "RELEASE", 0x04: "CONNECT", 0x05: "RECONNECT", 0x06: "DISCONNECT",
    0x07: "BEGIN", 0x08: "END", 0x09: "TRANSMIT", 0x0A: "CONTROL", 0x0B: "STATUS", 0x0D: "CANCEL",
    0x0F: "GETATTRIB", 0x11: "VERSION", 0x12: "STATES", 0x13: "WAIT", 0x14: "STOP",
}  # fmt: skip
RECORD = 184  # bytes of what is told of a reader
RECORDS = 16
SENT, RECEIVED, RETURNED = 3, 6, 7  # words of a TRANSMIT
MINOR = 4  # of the protocol that this understands; both sides go back to it


@dataclass
class Rule:
    """`WHAT[#N] ACTION [ARGUMENT…]`: what is done to that which matches, or to the Nth only.

    WHAT is a command's name (CONNECT, END, STATES…) or, in lower case or figures, a regular
    expression that the APDU begins with, in hexadecimal. Actions on commands: `rv CODE`, `instead
    CODE` (nothing is forwarded), `ask WORD VALUE`, `record WORD VALUE` (in each reader's), `keep N`
    (readers). On APDUs: `answer HEX` (nothing is forwarded), `send HEX` in its place, `before HEX`
    and `then HEX` beside it, `cut N`, `xor POSITION MASK`, `fail CODE`, `hang`.
    """

    what: str
    number: int
    action: str
    arguments: list[str]
    seen: int = 0

    @classmethod
    def read(cls, text: str) -> Self:
        where, action, *arguments = text.split()
        what, _, number = where.partition("#")
        return cls(what, int(number or 0), action, arguments)

    def meets(self, name: str, apdu: bytes | None = None) -> bool:
        """Tell whether it is for this command or APDU, and count it."""
        if apdu is None:
            fits = self.what == name
        else:
            fits = self.what not in COMMANDS.values() and bool(
                re.match(self.what, apdu.hex().upper())
            )
        if not fits:
            return False
        self.seen += 1
        return self.number in {0, self.seen}

    @property
    def content(self) -> bytes:
        """The bytes that it names."""
        return bytes.fromhex(self.arguments[0]) if self.arguments else b""

    def changed(self, response: bytes) -> bytes:
        """Return a response as this leaves it."""
        data, status = bytearray(response[:-2]), response[-2:]
        if self.action == "cut":
            return bytes(data[: -int(self.arguments[0])]) + status
        if self.action == "xor" and len(data) > int(self.arguments[0]):
            data[int(self.arguments[0])] ^= int(self.arguments[1])
        return bytes(data) + status


class Middle:
    """Listens at `path`, from `start` to `stop`; `spoil` says what goes wrong from then on."""

    def __init__(self, path: Path, manager: Path) -> None:
        self.path = path
        self._manager = manager
        self._rules: list[Rule] = []
        self._over = threading.Event()
        self._listening = socket.socket(socket.AF_UNIX)
        self._clients: set[socket.socket] = set()

    def spoil(self, rules: str) -> None:
        """Follow those rules, separated by semicolons, and no others."""
        self._rules = [Rule.read(each) for each in rules.split(";") if each.strip()]

    def __enter__(self) -> Self:
        self._listening.bind(str(self.path))
        self._listening.listen(20)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for each in (self._listening, *self._clients):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listening.accept()[0]
                self._clients.add(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError, EOFError), socket.socket(socket.AF_UNIX) as manager:
            manager.connect(str(self._manager))
            while True:
                ready = select.select([client, manager], [], [])[0]
                if manager in ready:  # an event, told to who waits
                    client.sendall(_some(manager))
                if client in ready:
                    client.sendall(self._exchange(client, manager))
        self._clients.discard(client)
        client.close()

    def _exchange(self, client: socket.socket, manager: socket.socket) -> bytes:
        """Take a request and give its answer; nothing where that comes as an event."""
        head = _all(client, HEADER.size)
        size, number = HEADER.unpack(head)
        name = COMMANDS.get(number, "")
        words = bytearray(_all(client, size))
        if name == "VERSION":
            words[4:8] = MINOR.to_bytes(4, "little")
        if name == "TRANSMIT":
            return self._transmit(bytes(words), _all(client, _word(words, SENT)), manager)
        rules = [each for each in self._rules if each.meets(name)]
        if instead := next((each for each in rules if each.action == "instead"), None):
            return bytes(words[:-4]) + _code(instead)
        for rule in rules:
            if rule.action == "ask":
                _set(words, *map(int, rule.arguments))
        manager.sendall(head + words)
        if name == "STOP":
            return b""
        answer = bytearray(_all(manager, size or RECORD * RECORDS))
        if name in {"STATES", "WAIT"}:
            self._change_states(answer, rules if name == "STATES" else self._of_states())
        for rule in rules:
            if rule.action == "rv":
                answer[-4:] = _code(rule)
        return bytes(answer)

    def _asked(self, name: str, words: bytes) -> bytes:
        """Return a command's words as the rules about it leave them."""
        changed = bytearray(words)
        for rule in [each for each in self._rules if each.meets(name)]:
            _set(changed, *map(int, rule.arguments))
        return bytes(changed)

    def _of_states(self) -> list[Rule]:
        return [each for each in self._rules if each.what == "STATES"]

    @staticmethod
    def _change_states(records: bytearray, rules: list[Rule]) -> None:
        for rule in rules:
            first, *rest = map(int, rule.arguments)
            if rule.action == "keep":
                records[first * RECORD :] = bytes(len(records) - first * RECORD)
                continue
            for start in range(0, len(records), RECORD):
                if records[start]:  # it has a name, so there is a reader
                    _set(records, start // 4 + first, rest[0])

    def _transmit(self, words: bytes, apdu: bytes, manager: socket.socket) -> bytes:
        """Pass a command on, or spoil it; one that is sent beside it is answered to nobody."""
        words = self._asked("TRANSMIT", words)
        rules = [each for each in self._rules if each.meets("", apdu)]
        if any(each.action == "hang" for each in rules):
            self._over.wait()
        for rule in rules:
            if rule.action == "answer":
                return _answered(words, rule.content)
            if rule.action == "send":
                apdu = rule.content
            if rule.action == "before":
                _put(manager, words, rule.content)
        told, response = _put(manager, words, apdu)
        for rule in rules:
            if rule.action == "then":
                _put(manager, words, rule.content)
            if rule.action == "fail":
                return told[:-8] + bytes(4) + _code(rule)
            response = rule.changed(response)
        return _answered(told, response) if response else told


def _put(manager: socket.socket, words: bytes, apdu: bytes) -> tuple[bytes, bytes]:
    """Send a command to the card; return the answer's words, and its response."""
    asked = bytearray(words)
    _set(asked, SENT, len(apdu))
    manager.sendall(HEADER.pack(len(asked), 0x09) + asked + apdu)
    answer = _all(manager, len(asked))
    length = _word(answer, RECEIVED) if _word(answer, RETURNED) == 0 else 0
    return answer, _all(manager, length)


def _answered(words: bytes, response: bytes) -> bytes:
    told = bytearray(words)
    _set(told, RECEIVED, len(response))
    _set(told, RETURNED, 0)
    return bytes(told) + response


def _code(rule: Rule) -> bytes:
    return int(rule.arguments[0], 16).to_bytes(4, "little")


def _word(words: bytes, index: int) -> int:
    return int.from_bytes(words[index * 4 : index * 4 + 4], "little")


def _set(words: bytearray, index: int, value: int) -> None:
    words[index * 4 : index * 4 + 4] = value.to_bytes(4, "little")


def _some(end: socket.socket) -> bytes:
    content = end.recv(65536)
    if not content:
        raise EOFError
    return content


def _all(end: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        more = end.recv(size - len(content))
        if not more:
            raise EOFError
        content += more
    return content

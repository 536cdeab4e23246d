"""A client of the resource manager that says on the wire whatever it is told to."""

import socket
from pathlib import Path
from struct import Struct
from typing import Any, Self

from ukey_emulator.readers import messages
from ukey_emulator.readers.messages import HEADER, READER, SHAPES
from ukey_emulator.readers.terms import SCARD, Command


class Wire:
    """A connection; what does not come in time is an error."""

    def __init__(self, address: Path, minor: int = 4) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        self.socket.connect(str(address))
        self.minor = minor

    def send(self, command: int, *fields: Any, data: bytes = b"") -> None:
        structure = SHAPES[command].fields.pack(*fields)
        self.socket.sendall(HEADER.pack(len(structure), command) + structure + data)

    def take(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            more = self.socket.recv(count - len(got))
            if not more:
                raise EOFError
            got += more
        return got

    def ask(self, command: int, *fields: Any, answer: Struct | None = None) -> tuple[Any, ...]:
        self.send(command, *fields)
        structure = answer or SHAPES[command].fields
        return structure.unpack(self.take(structure.size))

    def version(self, major: int = 4) -> tuple[Any, ...]:
        return self.ask(Command.VERSION, major, self.minor, 0)

    def establish(self) -> int:
        self.version()
        _, context, rv = self.ask(Command.ESTABLISH_CONTEXT, 2, 0, 0)
        assert rv == SCARD.S_SUCCESS
        return int(context)

    def connect(self, reader: str) -> int:
        context = self.establish()
        *_, card, _, rv = self.ask(Command.CONNECT, context, reader.encode(), 2, 3, 0, 0, 0)
        assert rv == SCARD.S_SUCCESS
        return int(card)

    def states(self, count: int = messages.FIXED_READERS) -> list[str]:
        """Take the states of that many readers, and give the names of those that there are."""
        names = [fields[0] for fields in READER.iter_unpack(self.take(count * READER.size))]
        return [name.rstrip(b"\0").decode() for name in names if name[0]]

    def silent(self) -> bool:
        """Tell whether nothing more comes."""
        self.socket.settimeout(0.2)
        try:
            self.take(1)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(5)
        return False

    def ended(self) -> bool:
        """Tell whether it has been hung up on."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

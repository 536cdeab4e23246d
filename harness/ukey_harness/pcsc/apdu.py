"""Command and response APDUs as bytes (ISO/IEC 7816-4:2020 §5), and how a record shows them."""

from dataclasses import dataclass

SHORT_MOST = 255
OK = 0x9000
CHAINING = 0x10  # the bit of the class byte: more blocks follow (§5.4.1)
# VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER, SET MANAGEMENT KEY, IMPORT: a secret is
# their data, whatever else the command says.
SECRETIVE = frozenset({0x20, 0x24, 0x2C, 0xFF, 0xFE})
_DATA_BEGINS = 5
_SHOWN = 64  # bytes of an APDU in a record


@dataclass(frozen=True)
class Answer:
    """What came back for a command: the call's name, and the response if it succeeded.

    `word` is the status word in hexadecimal, or the name of the call's return value where there is
    no response; "no answer" where the response is none.
    """

    name: str
    response: bytes = b""

    @property
    def data(self) -> bytes:
        """The response without its status word."""
        return self.response[:-2]

    @property
    def sw(self) -> int:
        """The status word; 0 where there is none."""
        return int.from_bytes(self.response[-2:], "big") if self.name == "S_SUCCESS" else 0

    @property
    def ok(self) -> bool:
        """Whether it is 9000."""
        return self.sw == OK

    @property
    def word(self) -> str:
        """The answer in one word."""
        if self.name != "S_SUCCESS":
            return self.name
        return f"{self.sw:04X}" if len(self.response) > 1 else "no answer"

    @property
    def kind(self) -> str:
        """The word with X in place of a number: 61XX, 6CXX, 63CX."""
        word = self.word
        if word.startswith(("61", "6C")):
            return f"{word[:2]}XX"
        return "63CX" if word.startswith("63C") else word

    @property
    def tries(self) -> int | None:
        """The tries that are left, where the status word tells them; 0 for a blocked reference."""
        if self.kind == "63CX":
            return self.sw & 0x0F
        return 0 if self.word == "6983" else None


def command(
    ins: int, p1: int, p2: int, data: bytes = b"", *, le: int | None = None, cla: int = 0
) -> bytes:
    """Return a short command APDU; le 256 is written as 00 (§5.2)."""
    body = bytes([len(data)]) + data if data else b""
    return bytes([cla, ins, p1, p2]) + body + (b"" if le is None else bytes([le & 0xFF]))


def extended(ins: int, p1: int, p2: int, data: bytes = b"", *, le: int | None = None) -> bytes:
    """Return an extended command APDU; le 65536 is written as 0000 (§5.2)."""
    head = bytes([0, ins, p1, p2, 0])
    body = len(data).to_bytes(2, "big") + data if data else b""
    return head + body + (b"" if le is None else (le & 0xFFFF).to_bytes(2, "big"))


def chain(
    ins: int, p1: int, p2: int, data: bytes, *, le: int | None = None, size: int = SHORT_MOST
) -> list[bytes]:
    """Return the blocks of a chain, all but the last with the chaining bit (§5.3.3)."""
    parts = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
    blocks = [command(ins, p1, p2, part, cla=CHAINING) for part in parts[:-1]]
    return [*blocks, command(ins, p1, p2, parts[-1], le=le)]


def shown(apdu: bytes) -> str:
    """Return a command for a record: in hexadecimal, the data of those that carry secrets blank."""
    if len(apdu) > _DATA_BEGINS and apdu[1] in SECRETIVE:
        hidden = len(apdu) - _DATA_BEGINS
        return f"{apdu[:_DATA_BEGINS].hex(' ').upper()} ({hidden} bytes not shown)"
    return shortened(apdu)


def shortened(content: bytes) -> str:
    """Return bytes in hexadecimal, the middle of long ones left out."""
    if len(content) <= _SHOWN:
        return content.hex(" ").upper()
    half = _SHOWN // 2
    begin, end = content[:half].hex(" ").upper(), content[-half:].hex(" ").upper()
    return f"{begin} … ({len(content)} bytes) … {end}"

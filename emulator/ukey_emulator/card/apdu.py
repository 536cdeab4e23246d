"""Command APDUs: bytes become typed commands at the door (ISO/IEC 7816-4:2020 §5.2)."""

from dataclasses import dataclass
from typing import Self

from .status import SW, CardRefusal

_HEADER = 4
_SHORT_ALL, _EXTENDED_ALL = 256, 65536

# Class bytes (ISO/IEC 7816-4:2020 §5.4.1)
_CHAINED = 0x10
_CHANNEL, _SECURE = 0x03, 0x0C  # of the first interindustry values, 000x xxxx
_FURTHER = range(0x40, 0x80)  # the further ones, 01xx xxxx, all of them on logical channels
_FURTHER_SECURE = 0x20


@dataclass(frozen=True, slots=True)
class Command:
    """A command as applets see it: chained blocks joined, the class byte without its chaining bit.

    `le` is how many bytes of answer are expected at most, None if the command says nothing of it;
    256 or 65536 where it asks for all. `chained` tells a block that others follow, which no applet
    ever sees; `extended` tells that lengths of two bytes were used.
    """

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    le: int | None = None
    chained: bool = False
    extended: bool = False

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a command; CardRefusal with 6700, 6881, 6882 or 6E00."""
        if len(raw) < _HEADER:
            raise CardRefusal(SW.WRONG_LENGTH, "no header")
        chained = _chained(raw[0])
        data, le, extended = _body(raw)
        cla = raw[0] & ~_CHAINED
        return cls(cla, raw[1], raw[2], raw[3], data, le, chained, extended)

    @property
    def p1p2(self) -> int:
        """Both parameters as one number."""
        return self.p1 << 8 | self.p2

    @property
    def room(self) -> int:
        """How many bytes of answer fit: programs that say nothing of it expect what there is."""
        if self.le is not None:
            return self.le
        return _EXTENDED_ALL if self.extended else _SHORT_ALL


def _chained(cla: int) -> bool:
    """Tell whether more blocks follow; refuse all classes that we have not."""
    if cla in _FURTHER:
        if cla & _FURTHER_SECURE:
            raise CardRefusal(SW.SECURE_MESSAGING_NOT_SUPPORTED)
        raise CardRefusal(SW.LOGICAL_CHANNEL_NOT_SUPPORTED)
    if cla > _CHAINED | _SECURE | _CHANNEL:
        raise CardRefusal(SW.CLASS_NOT_SUPPORTED, f"CLA {cla:02X}")
    if cla & _SECURE:
        raise CardRefusal(SW.SECURE_MESSAGING_NOT_SUPPORTED)
    if cla & _CHANNEL:
        raise CardRefusal(SW.LOGICAL_CHANNEL_NOT_SUPPORTED)
    return bool(cla & _CHAINED)


def _body(raw: bytes) -> tuple[bytes, int | None, bool]:
    """Give data, Le and whether lengths are extended (ISO/IEC 7816-3:2006 §12.1.3)."""
    body = raw[_HEADER:]
    match len(body):
        case 0:
            return b"", None, False
        case 1:
            return b"", body[0] or _SHORT_ALL, False
    if body[0]:
        data, rest, extended = body[1 : 1 + body[0]], body[1 + body[0] :], False
        complete = len(data) == body[0]
    else:
        length = int.from_bytes(body[1:3])
        if len(body) == 3:  # noqa: PLR2004 - case 2, Le alone
            return b"", length or _EXTENDED_ALL, True
        data, rest, extended = body[3 : 3 + length], body[3 + length :], True
        complete = len(body) > 3 and 0 < length == len(data)  # noqa: PLR2004 - the same three
    if not complete or len(rest) not in {0, 1 + extended}:
        raise CardRefusal(SW.WRONG_LENGTH, f"{len(raw)} bytes")
    if not rest:
        return data, None, extended
    return data, int.from_bytes(rest) or (_EXTENDED_ALL if extended else _SHORT_ALL), extended

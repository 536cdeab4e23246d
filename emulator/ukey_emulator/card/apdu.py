"""Command APDUs: bytes become typed commands at the door (ISO/IEC 7816-4:2020 §5.2)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A command as applets see it: chained blocks joined, the class byte without its chaining bit.

    `le` is how many bytes of answer are expected at most, None if the command says nothing of it;
    256 or 65536 where it asks for all.
    """

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    le: int | None = None

    @property
    def p1p2(self) -> int:
        """Both parameters as one number."""
        return self.p1 << 8 | self.p2

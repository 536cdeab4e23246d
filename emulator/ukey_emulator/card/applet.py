"""What all applets are: an identifier, a table of commands, a state that a reset clears."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

from .apdu import Command
from .status import SW, CardRefusal

_RID_LENGTH = 5  # of a registered application provider: the least that names an application


class Applet:
    """An application on the card; every instruction is refused that its table does not name.

    `reading` are the instructions that change nothing a program could have asked for before.
    """

    aid: ClassVar[bytes]
    instructions: ClassVar[Mapping[int, Callable[[Any, Command], bytes]]]
    reading: ClassVar[Collection[int]] = frozenset()

    def is_named(self, aid: bytes) -> bool:
        """Tell whether that is its identifier, whole or right-truncated (ISO 7816-4 §12.2.3)."""
        return len(aid) >= _RID_LENGTH and self.aid.startswith(aid)

    def select(self) -> bytes:
        """Become the selected application, or stay it; give what SELECT answers."""
        raise NotImplementedError

    def deselect(self) -> None:
        """Another application has been selected, or there is no power any more: forget the user.

        Nothing is raised, whatever has become of the key.
        """

    def perform(self, command: Command) -> bytes:
        """Carry a command out and give its data; CardRefusal with the status word otherwise."""
        instruction = self.instructions.get(command.ins)
        if instruction is None:
            raise CardRefusal(SW.INSTRUCTION_NOT_SUPPORTED, f"INS {command.ins:02X}")
        return instruction(self, command)

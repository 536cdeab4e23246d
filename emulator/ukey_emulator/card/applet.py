"""What all applets are: an identifier, a table of commands, a state that a reset clears."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from .apdu import Command
from .status import SW, CardRefusal


class Applet:
    """An application on the card; every instruction is refused that its table does not name."""

    aid: ClassVar[bytes]
    instructions: ClassVar[Mapping[int, Callable[[Any, Command], bytes]]]

    def select(self, command: Command) -> bytes:
        """Become the selected application; give what SELECT answers."""
        raise NotImplementedError

    def deselect(self) -> None:
        """Another application has been selected."""

    def reset(self) -> None:
        """Forget all that does not survive a reset or the loss of power."""

    def perform(self, command: Command) -> bytes:
        """Carry a command out and give its data; CardRefusal with the status word otherwise."""
        instruction = self.instructions.get(command.ins)
        if instruction is None:
            raise CardRefusal(SW.INSTRUCTION_NOT_SUPPORTED, f"INS {command.ins:02X}")
        return instruction(self, command)

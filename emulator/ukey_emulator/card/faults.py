"""Faults at commands: what a plan does to a card."""

from collections.abc import Callable
from dataclasses import dataclass

from ukey_emulator.chip import Chip
from ukey_emulator.faults import Caller, Fault, Meeting, What, Where, turned
from ukey_emulator.slots import Slot, Slots
from ukey_emulator.terms.operations import COMMANDS

from .status import SW

PROGRAM = "card"
"""Who is said to send a card its commands: what program it is, no card knows."""

COMMAND_WORDS = {name: instruction for instruction, name in COMMANDS.items()}
"""The commands that fault plans may name, with their instruction byte."""

_HEADER = 4
_CHAINED = 0x10

Answer = tuple[bytes, int]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command has ended: its answer, the faults that happened to it, and if to nobody."""

    data: bytes
    sw: int
    faults: str
    dropped: bool


class CardFaults:
    """Carries the commands of a card out as a plan has them go.

    `work` answers a command; `abandon` forgets what of it has come so far. `plan` has the faults.
    """

    def __init__(
        self,
        slots: Slots,
        chip: Chip,
        work: Callable[[bytes], Answer],
        abandon: Callable[[], None],
    ) -> None:
        self.plan = slots.faults
        self._slots = slots
        self._chip = chip
        self._work = work
        self._abandon = abandon

    def carry_out(self, command: bytes, is_awaited: Callable[[], bool]) -> Ended:
        """Carry a command out, with all that happens to it.

        Of one that comes in blocks it is the last block that faults meet, with which it is whole.
        """
        slot = next((slot for slot in self._slots if slot.chip is self._chip), None)
        caller = Caller(0, PROGRAM, is_awaited)
        with self.plan.on_behalf(caller):
            fired: tuple[Fault, ...] = ()
            if slot is not None and len(command) >= _HEADER and not command[0] & _CHAINED:
                met = Meeting(Where.APDU, command[1], slot.key, caller.pid, caller.program)
                fired = self.plan.meet(met)
            data, sw = self._go(command, slot, fired)
        if caller.cut and slot is not None:
            self._slots.puller(slot, self._chip)
            data, sw = b"", SW.NO_PRECISE_DIAGNOSIS
        dropped = any(fault.what is What.DROP for fault in fired)
        return Ended(data, sw, caller.faults, dropped)

    def _go(self, command: bytes, slot: Slot | None, fired: tuple[Fault, ...]) -> Answer:
        fault = self.plan.wait_all(fired, lambda: slot is None or slot.chip is self._chip)
        if fault is None or slot is None:
            return self._work(command)
        return self._happen(command, slot, fault)

    def _happen(self, command: bytes, slot: Slot, fault: Fault) -> Answer:
        """Have a fault happen to a command, which it alone decides on."""
        match fault.what:
            case What.STATUS:
                self._abandon()
                return b"", int(fault.value)
            case What.DROP:
                self._abandon()
                return b"", SW.NO_PRECISE_DIAGNOSIS
            case What.PULL if fault.value == "before":
                self._slots.puller(slot, self._chip)
                return b"", SW.NO_PRECISE_DIAGNOSIS
            case What.LOGOUT:
                with self._slots.epoch.change():
                    self._chip.forget_logins()
        data, sw = self._work(command)
        if fault.what is What.PULL:
            self._slots.puller(slot, self._chip)
            return b"", SW.NO_PRECISE_DIAGNOSIS
        return turned(data) if fault.what is What.CORRUPT else data, sw

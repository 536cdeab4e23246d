"""The fault plans of a rack, as the control port is told of them."""

from typing import Any, cast

from ukey_emulator.card.faults import COMMAND_WORDS
from ukey_emulator.cryptoki.faults import FUNCTION_WORDS
from ukey_emulator.faults import Fault, FaultError, FaultInfo, FaultPlan, Words, read, read_plan

from .arguments import GREATEST, Amount, Flag, Kind, Number, Text
from .home import Code
from .keyring import Keyring
from .requests import Command, RequestError

_WORDS = Words(FUNCTION_WORDS, COMMAND_WORDS)
_COUNT = Number(1, GREATEST)
_WORD = Text(255, null=True)
_NAME = Text(64, null=True)
_MEMBERS: dict[str, Kind] = {
    "name": _NAME,
    "key": _WORD,
    "function": _WORD,
    "apdu": _WORD,
    "store": _WORD,
    "mechanism": _WORD,
    "at": _COUNT,
    "from": _COUNT,
    "to": _COUNT,
    "pid": _COUNT,
    "program": _WORD,
    "chance": Amount(0, 1),
    "seed": Number(-GREATEST, GREATEST),
    "return": _WORD,
    "status": _WORD,
    "pull": _WORD,
    "delay": Amount(0, 3600),
    "hang": Flag(),
    "power": _WORD,
    "corrupt": Flag(),
    "drop": Flag(),
    "logout": Flag(),
    "memory": Flag(),
}


class RackFaults:
    """Adds, tells of and takes away the faults of a rack; RequestError says what is wrong."""

    def __init__(self, plan: FaultPlan, keys: Keyring) -> None:
        self._plan = plan
        self._keys = keys

    def commands(self) -> dict[str, Command]:
        """Give the commands of the control port."""
        return {
            "fault.add": Command(self.add, _MEMBERS),
            "fault.load": Command(self.load, {"plan": Text(60_000, required=True)}),
            "fault.list": Command(self._plan.list),
            "fault.clear": Command(self.clear, {"name": _NAME}),
            "fault.release": Command(self.release, {"name": _NAME}),
        }

    def add(self, **members: Any) -> FaultInfo:  # noqa: ANN401 - whatever JSON holds
        """Arm a fault."""
        try:
            (info,) = self._arm([read(members, _WORDS)])
        except FaultError as error:
            raise _refused(error) from error
        return info

    def load(self, plan: str) -> tuple[FaultInfo, ...]:
        """Arm the faults of a plan in TOML, all of them or none."""
        try:
            return self._arm(read_plan(plan, _WORDS))
        except FaultError as error:
            raise _refused(error) from error

    def clear(self, name: str | None = None) -> tuple[FaultInfo, ...]:
        """Disarm a fault, or all; give how they ended."""
        try:
            return self._plan.clear(name)
        except FaultError as error:
            raise _refused(error) from error

    def release(self, name: str | None = None) -> int:
        """Let the calls go on that hang in a fault, or in any; give how many."""
        try:
            return self._plan.release(name)
        except FaultError as error:
            raise _refused(error) from error

    def _arm(self, faults: list[Fault]) -> tuple[FaultInfo, ...]:
        for fault in faults:
            if fault.key is not None:
                self._keys.require(fault.key)
        return self._plan.add(*faults)


def _refused(error: FaultError) -> RequestError:
    facts = {"argument": error.member[:64]} if error.member else {}
    return RequestError(cast("Code", error.code), str(error), **facts)

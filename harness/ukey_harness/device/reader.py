"""A card in a PC/SC reader that we have not made: touched only when its serial number is named.

Nothing makes it anew: what a case changes is put back by that case. What spends a try of its PIN or
writes to it is done only with its owner's consent, and never when fewer than two tries are left.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from ukey_harness.device.claim import DeviceFile
from ukey_harness.device.examiner import DeviceError, ask
from ukey_harness.device.operator import HumanOperator
from ukey_harness.device.port import Device
from ukey_harness.verdicts.record import Call

EXAMINER = "ukey_harness.device.card_examiner"  # in its process alone: pyscard is an extra


class ReaderDevice(Device):
    """A card, and the reader that it is in."""

    def __init__(self, file: DeviceFile, home: Path, operator: HumanOperator | None = None) -> None:
        super().__init__(file, home)
        self._operator = operator or HumanOperator()
        self.serial = file.serial
        self.pin = os.environ.get(file.pins.user_env, "") if file.pins.user_env else ""
        self.so_pin = os.environ.get(file.pins.so_env, "") if file.pins.so_env else ""
        self.management = (
            os.environ.get(file.pins.management_env, "") if file.pins.management_env else ""
        )

    @property
    def has_operator(self) -> bool:
        """Whether there is a terminal on which a person can be asked."""
        return self._operator.there

    def open(self) -> Self:
        """See that the card with the named serial number is there, and what it tells."""
        self.start()
        self.measured = self.examine()
        return self

    def start(self) -> None:
        """See that the card with the named serial number is there."""
        self._check(self.examine())

    def examine(self) -> dict[str, Any]:
        """Return what the reader and its card tell; changes nothing."""
        return self._put("examine")

    def _check(self, seen: dict[str, Any]) -> None:
        serials = seen["token"]["serials"]
        if self.serial not in serials:
            there = " or ".join(serials) or "none that could be read"
            raise DeviceError(
                f"the card in {seen['slot']['reader']} has the serial number {there}, "
                f"not {self.serial}: put that card in, or name its number in the device file"
            )

    def fresh(self) -> None:
        """Leave the card alone: nothing makes it anew."""

    def tries_left(self) -> int | None:
        """Tell the tries that the card's PIN has left; None where the card does not tell."""
        self._check(seen := self.examine())
        left = seen["tries_left"]
        return None if left is None else int(left)

    def plug_in(self) -> None:
        """Ask for the card to be put in, unless it is."""
        if not self._present():
            self._operator.ask(f"请插入序列号 {self.serial} 的卡片", self._present)

    def take_out(self) -> None:
        """Ask for the card to be taken out."""
        self._operator.ask(f"请取出序列号 {self.serial} 的卡片", lambda: not self._present())

    def new_calls(self) -> Sequence[Call]:
        """Return none: each case writes down its own."""
        return ()

    def _present(self) -> bool:
        return bool(self._put("present")["present"])

    def _put(self, verb: str) -> dict[str, Any]:
        return ask({"verb": verb, "reader": self.reader}, self.environment, EXAMINER)

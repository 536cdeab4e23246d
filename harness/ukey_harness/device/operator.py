"""The person who plugs a real key in and takes it out, asked on the terminal."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ukey_harness.device.examiner import DeviceError

TERMINAL = Path("/dev/tty")
PATIENCE = 120.0  # seconds: finding the key, walking to the machine
PAUSE = 0.5


class Operator(Protocol):
    """Somebody or something that moves the key."""

    def ask(self, act: str, done: Callable[[], bool]) -> None:
        """Ask for an act and return when `done` sees it; DeviceError when it never happens."""
        ...


class HumanOperator:
    """Asks on the terminal, then watches the module until the act is seen.

    The token itself is the witness: nobody has to press a key to say that it was done.
    """

    def __init__(self, terminal: Path = TERMINAL, patience: float = PATIENCE) -> None:
        self._terminal = terminal
        self._patience = patience

    @property
    def there(self) -> bool:
        """Whether there is a terminal to ask on."""
        try:
            with self._terminal.open("w", encoding="utf-8"):
                return True
        except OSError:
            return False

    def ask(self, act: str, done: Callable[[], bool]) -> None:
        """Write the act on the terminal; wait for it."""
        with self._terminal.open("w", encoding="utf-8") as terminal:
            terminal.write(f"\n>>> {act} …\n")
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            if done():
                return
            time.sleep(PAUSE)
        raise DeviceError(f"“{act}” was not seen within {self._patience:.0f} s")

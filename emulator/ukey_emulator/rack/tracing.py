"""How the trace of a rack is switched: how much it tells, and how soon."""

from contextlib import ExitStack

from ukey_emulator.epoch import Epoch

from .home import BAD_ARGUMENT, RackError
from .noted import Level
from .trace import Trace


class Tracing:
    """Switches a trace; what programs answer from memory hangs on it, which is what `epoch` tells.

    Faults are RackError.
    """

    def __init__(self, trace: Trace, epoch: Epoch) -> None:
        self._trace = trace
        self._epoch = epoch
        self._exact = ExitStack()
        self._traffic = ExitStack()

    def exactly(self, exact: bool) -> None:  # noqa: FBT001 - a switch
        """Have programs ask for each call when they make it, nothing from memory, or no longer."""
        self._exact.close()
        if exact:
            self._exact.enter_context(self._epoch.change())

    def level(self, level: str = "") -> Level:
        """Switch how much the trace tells, if a level is given; give the one that holds.

        At TRAFFIC nothing is answered from memory: what was given would not come here.
        """
        if level:
            if level not in list(Level):
                raise RackError(
                    f"there is no level {level}; there are: {', '.join(Level)}", BAD_ARGUMENT
                )
            self._traffic.close()
            if level == Level.TRAFFIC:
                self._traffic.enter_context(self._epoch.change())
            self._trace.level = Level(level)
        return self._trace.level

"""One side of the comparison: a process with one module in it, which measures what it is told to.

Reads a line of JSON for each measure from standard input, answers with a number on standard
output: `{"measure": "rsa", "seconds": 1}` with calls a second, `{"measure": "fresh"}` with
seconds, `{"measure": "fill", "count": 2000}` when that many objects are there. A side that joins
signs with the RSA key of a token that another side has made.
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from calls import Calls
from signing import Joined, Signing
from tokens import Emulated, Soft


def rate(act: Callable[[], object], seconds: float) -> float:
    """Give how often a second something can be done."""
    count, start = 0, time.perf_counter()
    end = start + seconds
    while (now := time.perf_counter()) < end:
        act()
        count += 1
    return count / (now - start)


class Side:
    """Everything that can be measured on one module."""

    def __init__(self, side: str, module: str) -> None:
        self._signing = Signing(module, Emulated if side == "ukey" else lambda: Soft(module))
        self._calls = Calls(module, self._signing.label)

    def measure(self, measure: str, seconds: float = 0, count: int = 0) -> float | str:
        """Measure one thing; "label" gives the token's label for others to join."""
        if measure == "label":
            return self._signing.label
        if measure == "fresh":
            return self._signing.fresh()
        if measure == "fill":
            self._calls.fill(count)
            return count
        return rate(getattr(self._signing, measure, None) or getattr(self._calls, measure), seconds)


class JoinedSide:
    """A further program on another side's token."""

    def __init__(self, module: str, label: str) -> None:
        self._joined = Joined(module, label)

    def measure(self, measure: str, seconds: float = 0) -> float:
        """Measure the rate of signatures."""
        return rate(getattr(self._joined, measure), seconds)


def main() -> None:
    """Serve measures until standard input ends."""
    side, module, *label = sys.argv[1:]
    bench = JoinedSide(module, *label) if label else Side(side, module)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        answer = bench.measure(**asked)
        with suppress(BrokenPipeError):
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

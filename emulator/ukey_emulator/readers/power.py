"""Power for cards that nobody uses any more: it goes off a moment after the last one has left."""

import threading
import time
from collections import deque
from collections.abc import Callable

_GRACE = 0.6  # seconds; pcscd 1.9.9 looks every 0.4 s and takes the power at the second look


class Grace:
    """Carries out, one moment later, what is handed in; one thread for all readers, if any.

    As all wait equally long, the first that came is the first that goes.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def later(self, work: Callable[[], None]) -> None:
        """Carry something out after the time of grace; never if it is stopped before."""
        with self._changed:
            if self._stopped:
                return
            self._waiting.append((time.monotonic() + _GRACE, work))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="ukey-power")
                self._thread.start()
            elif len(self._waiting) == 1:
                self._changed.notify()

    def stop(self) -> None:
        """Carry out nothing any more."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while (work := self._next()) is not None:
            work()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._stopped:
                if not self._waiting:
                    self._changed.wait()
                elif (left := self._waiting[0][0] - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    return self._waiting.popleft()[1]
        return None

"""How many files of keys are open at a time: a key that nobody uses needs no open file."""

import resource
import threading
from typing import Protocol

_MOST = 64
_LEAST = 4
_PART = 8  # of the files that the process may open; each of ours is two: the file and its log


class Resting(Protocol):
    """What has a file that it can close while it is not used, and opens again by itself."""

    def rest(self) -> bool:
        """Close the file unless it is being used at this moment; tell whether it is closed."""


class OpenFiles:
    """Those whose files are open, `most` at a time but for those that are being used.

    A key costs two descriptors and some 100 KiB while its file is open, and 200 µs to open it
    again. By default as many are open as suits what the process may open.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = _suitable() if most is None else most
        self._lock = threading.Lock()
        self._open: dict[Resting, None] = {}  # those used last at the end
        self._last: Resting | None = None

    def use(self, user: Resting) -> None:
        """Take note that somebody uses its file now; who has not used theirs for longest rests."""
        if self._last is user:  # so it is mostly, and then nothing has changed
            return
        with self._lock:
            self._open.pop(user, None)
            self._open[user] = None
            self._last = user
            over = max(0, len(self._open) - self._most)
            unused = list(self._open)[:over]
        for other in unused:  # apart from the lock: a file that is closed may wait for the disk
            if other.rest():
                self.forget(other)

    def forget(self, user: Resting) -> None:
        """Take note that its file is closed."""
        with self._lock:
            self._open.pop(user, None)
            if self._last is user:
                self._last = None


def _suitable() -> int:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return _MOST
    return max(_LEAST, min(_MOST, allowed // _PART))

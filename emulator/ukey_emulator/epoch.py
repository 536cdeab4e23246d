"""The epoch: a number in memory that programs can read, changed when an answer could change."""

import fcntl
import mmap
import os
import threading
import weakref
from contextlib import AbstractContextManager
from types import TracebackType

_SEAL_FUTURE_WRITE = 0x10  # linux/fcntl.h: whoever maps it from now on can only read it


class Epoch:
    """A number that tells programs whether what they were answered still holds (PROTOCOL.md).

    `descriptor` is for them; through it the number can be read, not written.
    """

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("ukey-epoch", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, mmap.PAGESIZE)
        self._page = memoryview(mmap.mmap(self.descriptor, mmap.PAGESIZE)).cast("Q")
        fcntl.fcntl(
            self.descriptor,
            fcntl.F_ADD_SEALS,
            fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | _SEAL_FUTURE_WRITE,
        )
        self._lock = threading.Lock()
        self._number = 1
        self._changes = 0  # that are under way
        self._change = _Change(self)
        self._show()
        weakref.finalize(self, os.close, self.descriptor)

    @property
    def now(self) -> int:
        """The epoch as programs see it: 0 while something is under way that was begun."""
        return self._page[0]

    def change(self) -> AbstractContextManager[None]:
        """Make a change inside this, and answer nobody that it is made before it ends.

        Some may see the change already while others know the old answers: nothing holds meanwhile.
        """
        return self._change

    def advance(self) -> None:
        """Begin a new epoch."""
        with self._lock:
            self._number += 1
            self._show()

    def begin(self) -> None:
        """Begin a change, or a time in which every call is to be seen when it is made."""
        with self._lock:
            self._changes += 1
            self._page[0] = 0

    def end(self) -> None:
        """End what was begun."""
        with self._lock:
            self._changes -= 1
            self._number += 1
            self._show()

    def _show(self) -> None:
        self._page[0] = 0 if self._changes else self._number


class _Change:
    """From the beginning of a change to its end; one serves all, of which it keeps nothing."""

    def __init__(self, epoch: Epoch) -> None:
        self._epoch = epoch

    def __enter__(self) -> None:
        self._epoch.begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._epoch.end()

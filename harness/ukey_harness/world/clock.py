"""The one clock of the world.

Everything in the world that needs the time (certificates, OCSP, CRLs, timestamps, challenges)
asks this clock, so that a test can turn a year within a second.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class Clock:
    """A clock that runs like the machine's and can be turned; safe for use by many threads.

    A fresh clock shows the machine's time. Times are aware datetimes in UTC of whole seconds,
    as X.509 (RFC 5280 §4.1.2.5) has no parts of seconds.
    """

    def __init__(self) -> None:
        self._offset = timedelta(0)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the clock's time: aware, UTC, cut to the whole second."""
        with self._lock:
            return (datetime.now(UTC) + self._offset).replace(microsecond=0)

    def advance(self, step: timedelta) -> datetime:
        """Turn the clock by `step` (backwards if negative) and return the new time."""
        with self._lock:
            self._offset += step
        return self.now()

    def set(self, moment: datetime) -> datetime:
        """Turn the clock to `moment`, from where it runs on, and return the new time.

        A datetime without time zone is refused with ValueError: it would mean another moment
        on another machine.
        """
        if moment.tzinfo is None:
            raise ValueError(
                f"the clock needs a time with a time zone, {moment.isoformat()} has none: "
                "use datetime(..., tzinfo=UTC)"
            )
        with self._lock:
            self._offset = moment - datetime.now(UTC)
        return self.now()

    def reset(self) -> datetime:
        """Turn the clock back to the machine's time and return it."""
        with self._lock:
            self._offset = timedelta(0)
        return self.now()

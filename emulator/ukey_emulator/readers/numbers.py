"""Numbers of contexts and of cards: nobody can guess one, and none stands for two things."""

import secrets
import threading

_BITS = 31  # more would turn negative on the way


class Numbers:
    """The numbers that are in use."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._lock = threading.Lock()

    def take(self) -> int:
        """Give a number that is not in use, never 0."""
        with self._lock:
            number = 0
            while not number or number in self._taken:
                number = secrets.randbits(_BITS)
            self._taken.add(number)
            return number

    def give_back(self, number: int) -> None:
        """Let a number be used anew."""
        with self._lock:
            self._taken.discard(number)

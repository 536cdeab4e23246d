"""What crossed the faces: the last calls, with PINs and data left out unless they are asked for."""

import itertools
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from ukey_emulator.card.card import Exchange
from ukey_emulator.cryptoki.application import Application

from .noted import Entry, Level, Noted, NotedExchange, Switched, read, shapes, shapes_of, whole

_KEPT = 20_000
_NUMBER = itemgetter(0)  # of an entry


class Trace:
    """The last calls of all applications and commands of all cards, numbered from 1."""

    def __init__(self) -> None:
        self._entries: deque[Entry | tuple[Any, ...]] = deque(maxlen=_KEPT)
        self._numbers = itertools.count(1)
        self._level = Level.CALLS

    @property
    def level(self) -> Level:
        """How much is kept of calls from now on; that it is switched stands in the trace."""
        return self._level

    @level.setter
    def level(self, level: Level) -> None:
        if level is not self._level:
            self._level = level
            self._entries.append(Switched(next(self._numbers), time.time(), level))

    def note(  # noqa: PLR0917 - as it is handed to the face
        self,
        app: Application,
        name: str,
        arguments: tuple[Any, ...],
        code: int,
        seconds: float,
        results: Sequence[Any] = (),
        *,
        fault: str = "",
    ) -> None:
        """Note a call that has been carried out, and the faults that happened to it.

        Every call passes here: what can wait until somebody reads the trace, waits. What is kept
        is the beginning of a Noted.
        """
        if self._level is Level.CALLS and not fault:
            told = shapes(name, arguments)
            self._entries.append((next(self._numbers), time.time(), app, name, told, code, seconds))
        else:
            self._note_more(app, name, arguments, code, seconds, results, fault)

    def _note_more(  # noqa: PLR0917 - the same
        self,
        app: Application,
        name: str,
        arguments: tuple[Any, ...],
        code: int,
        seconds: float,
        results: Sequence[Any],
        fault: str,
    ) -> None:
        level, given = self._level, () if self._level is Level.CALLS else whole(results)
        told = shapes(name, arguments) if level is Level.CALLS else whole(arguments)
        number = next(self._numbers)
        self._entries.append(
            Noted(number, time.time(), app, name, told, code, seconds, level, given, fault)
        )

    def note_told(self, app: Application, name: str, payload: bytes, seconds: float) -> None:
        """Note a call that was answered with CKR_OK before it came here, as it was sent."""
        told = shapes_of(name, payload)
        self._entries.append((next(self._numbers), time.time(), app, name, told, 0, seconds))

    def note_card(self, key: str | None, exchange: Exchange, command: bytes, answer: bytes) -> None:
        """Note a command that the card of a key has answered; whose it was, no card knows."""
        number, traffic = next(self._numbers), None
        if self._level is Level.TRAFFIC:
            traffic = command, answer
        self._entries.append(NotedExchange(number, time.time(), exchange, key, traffic))

    @property
    def last(self) -> int:
        """The number of the last call, 0 while there is none."""
        try:
            return int(self._entries[-1][0])
        except IndexError:
            return 0

    def since(self, number: int, most: int = _KEPT) -> list[dict[str, Any]]:
        """Give at most so many calls after that number, oldest first, as JSON can hold them.

        They end before a call whose thread has its number but has not noted it yet: who asks again
        for what is after the last one misses none.
        """
        entries = self._entries.copy()
        if not entries or entries[-1][0] <= number:
            return []
        ordered = sorted(entries, key=_NUMBER)
        following = number + 1
        if len(ordered) == _KEPT:  # what was before them is forgotten
            following = max(following, ordered[0][0])
        calls: list[dict[str, Any]] = []
        for entry in ordered[bisect_left(ordered, following, key=_NUMBER) :][:most]:
            if entry[0] != following:
                break
            calls.append(read(entry if isinstance(entry, Entry) else Noted(*entry)))
            following += 1
        return calls

"""A recording as a device: the face that programs get instead of the rack's."""

import threading
from collections.abc import Callable
from typing import Any

from ukey_emulator.cryptoki.wire import WireError

from .differences import Difference, Unplayed
from .file import Recording, RecordingError
from .lives import Life, lives
from .player import Player


class RecordedFace:
    """Answers programs as a recording says.

    The first program gets the part of the first one of its name, the next one the next.
    `differences` are what did not go as it was recorded. RecordingError if the recording does not
    tell enough, or is not whole.
    """

    def __init__(self, recording: Recording) -> None:
        if recording.level == "calls":
            raise RecordingError(
                "it was recorded at the level calls, without what programs were given; record it "
                "again with --level replay"
            )
        self._lock = threading.Lock()
        self._told = threading.Lock()
        self._waiting = lives(recording.calls)
        self.differences: list[Difference] = []
        try:
            for life in self._waiting:
                for call in life.calls:
                    _ = call.arguments, call.results
        except WireError as error:
            raise RecordingError(f"a call in it cannot be read: {error}") from error

    def attach(self, application_id: bytes, pid: int, name: str) -> Player:
        """Begin an application: it plays the first part of its name that nobody has played."""
        del application_id
        with self._lock:
            life = next((each for each in self._waiting if each.program == name), None)
            if life is None and self._waiting:
                life = self._waiting[0]  # under another name: a program may have been copied
            if life is not None:
                self._waiting.remove(life)
        return Player(name, pid, life, self._exchange, self._differs)

    def detach(self, application: Player) -> None:
        """End an application."""
        application.end()

    def call(
        self, application: Player, function_name: str, args: tuple[Any, ...]
    ) -> tuple[int, tuple[Any, ...]]:
        """Answer a call as it was answered then."""
        return application.answer(function_name, args)

    def keep_promise(self, application: Player, function_name: str, args: tuple[Any, ...]) -> None:
        """Answer a call that was promised: without an epoch there are none."""
        self.call(application, function_name, args)

    def sign_again(self, *_: object) -> None:
        """Sign nothing: that goes step by step."""
        return

    def unplayed(self) -> list[Unplayed]:
        """Give the parts that no program has played."""
        return [Unplayed(life.program, len(life.calls)) for life in self._waiting if life.calls]

    def _exchange(self, life: Life, fits: Callable[[Life], bool]) -> Life | None:
        with self._lock:
            for place, other in enumerate(self._waiting):
                if other.program == life.program and fits(other):
                    self._waiting[place] = life
                    return other
            return None

    def _differs(self, difference: Difference) -> None:
        with self._told:
            self.differences.append(difference)

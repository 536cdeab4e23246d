"""A key's PIN pad: what its holder does on it, in the order that he does it."""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum


class Button(StrEnum):
    """What a holder does who types no PIN: press cancel, or nothing at all until time is up."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"


@dataclass(slots=True)
class Pad:
    """What is still to be typed, each a PIN or a button; `asking` says that a call waits for it.

    Those who read and change it hold the lock of the slots.
    """

    acts: deque[bytes | Button] = field(default_factory=deque, repr=False)
    asking: bool = False

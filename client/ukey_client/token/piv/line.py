"""The line to a card: what the rest needs of PC/SC, and what it must not know."""

from contextlib import AbstractContextManager
from typing import Protocol


class Line(Protocol):
    """A card in a reader. Every method raises TokenRemoved when the card has gone."""

    @property
    def reader(self) -> str:
        """Name of the reader."""

    @property
    def generation(self) -> int:
        """How often the card was reset by others: with each its volatile state has gone."""

    def transmit(self, command: bytes) -> bytes:
        """Send one command APDU; give data and status word."""

    def transaction(self) -> AbstractContextManager[None]:
        """Keep other programs away from the card; may be entered inside of itself."""

    def reset(self) -> None:
        """Reset the card, so that it forgets who has logged in."""

    def close(self) -> None:
        """Let go of the card; no error leaves this."""

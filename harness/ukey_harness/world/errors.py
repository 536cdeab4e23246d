"""What can go wrong with the world as a whole."""

from __future__ import annotations


class WorldError(Exception):
    """The world cannot start or do what was asked; the text says why, and the way out."""

"""Where a key keeps its state: one SQLite file, every change one transaction."""

from .store import Store

__all__ = ["Store"]

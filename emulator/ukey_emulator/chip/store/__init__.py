"""Where a key keeps its state: one SQLite file, every change one transaction."""

from .store import OF_APPLETS, Sealed, Store

__all__ = ["OF_APPLETS", "Sealed", "Store"]

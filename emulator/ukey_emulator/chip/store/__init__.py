"""Where a key keeps its state: one SQLite file, every change one transaction."""

from .image import UNFINISHED, delete, write
from .store import OF_APPLETS, Faults, Sealed, Store

__all__ = ["OF_APPLETS", "UNFINISHED", "Faults", "Sealed", "Store", "delete", "write"]

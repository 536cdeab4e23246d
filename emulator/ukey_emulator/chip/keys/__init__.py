"""Key material: from attributes to loaded keys and back."""

from .material import Material, complete, load

__all__ = ["Material", "complete", "load"]

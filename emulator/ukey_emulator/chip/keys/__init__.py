"""Key material: from attributes to loaded keys and back."""

from .material import Material, complete, fixed_length, load

__all__ = ["Material", "complete", "fixed_length", "load"]

"""Key material: from attributes to loaded keys and back."""

from .material import Material, complete, fits, load, public_part, require_own

__all__ = ["Material", "complete", "fits", "load", "public_part", "require_own"]

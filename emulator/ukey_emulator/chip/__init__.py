"""The key itself: identity, PINs, objects, keys and mechanisms.

Knows no socket, no host interface and no wall clock: faces translate for it.
"""

from .chip import Chip
from .pins import Role
from .refusal import PinRefusal, PowerCut, Refusal

__all__ = ["Chip", "PinRefusal", "PowerCut", "Refusal", "Role"]

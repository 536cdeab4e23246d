"""Profiles: what a fresh key is like, as a file of TOML says it."""

from .identity import Identity, MechanismFacts, SlotFacts
from .profile import DEFAULT, Profile, kept
from .table import ProfileError

__all__ = ["DEFAULT", "Identity", "MechanismFacts", "Profile", "ProfileError", "SlotFacts", "kept"]

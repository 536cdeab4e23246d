"""Profiles: what a fresh key is like, as a file of TOML says it."""

from .profile import DEFAULT, Profile, ProfileError

__all__ = ["DEFAULT", "Profile", "ProfileError"]

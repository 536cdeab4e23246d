"""Personalities of keys."""

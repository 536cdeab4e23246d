"""Capturing: what a real device says of itself, read without a login, as a profile."""

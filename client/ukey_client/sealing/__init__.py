"""Sealing documents (电子签章)."""

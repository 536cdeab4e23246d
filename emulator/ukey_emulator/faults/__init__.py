"""Fault plans: named, counted, deterministic."""

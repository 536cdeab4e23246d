"""The key as a PIV card (NIST SP 800-73-4) in a reader, on PC/SC (pyscard)."""

"""Renewal of a certificate (延期) over CMP."""

"""Sealing documents (电子签章)."""

from ukey_client.sealing.document import Place
from ukey_client.sealing.seal import seal_pdf

__all__ = ["Place", "seal_pdf"]

"""The key: one port (`port`), and the ways to it (`cryptoki`)."""

from ukey_client.token.cryptoki.token import open_token
from ukey_client.token.port import HeldCertificate, Pair, PinLimits, PinState, Token

__all__ = ["HeldCertificate", "Pair", "PinLimits", "PinState", "Token", "open_token"]

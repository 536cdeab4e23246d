"""The key: one port (`port`), and the ways to it (`cryptoki`)."""

from ukey_client.token.cryptoki.token import open_token, open_tokens
from ukey_client.token.port import HeldCertificate, Holding, Pair, PinLimits, PinState, Token

__all__ = [
    "HeldCertificate",
    "Holding",
    "Pair",
    "PinLimits",
    "PinState",
    "Token",
    "open_token",
    "open_tokens",
]

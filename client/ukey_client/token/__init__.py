"""The key: one port (`port`), and the ways to it (`cryptoki`, `piv`)."""

from ukey_client.token.cryptoki.token import open_token, open_tokens
from ukey_client.token.port import HeldCertificate, Holding, Pair, PinLimits, PinState, Token
from ukey_client.token.way import Way

__all__ = [
    "HeldCertificate",
    "Holding",
    "Pair",
    "PinLimits",
    "PinState",
    "Token",
    "Way",
    "open_token",
    "open_tokens",
]

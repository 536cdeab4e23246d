"""Changing the PIN (密码修改)."""

import hmac

from ukey_client.errors import PinLocked, PinUnacceptable
from ukey_client.token import Token

__all__ = ["change_pin", "require_acceptable"]


def change_pin(token: Token, old: str, new: str) -> None:
    """Set a new PIN; from then on the old one is refused.

    A new PIN that cannot be taken (PinUnacceptable) and a locked one (PinLocked) are found
    before a try is spent. A wrong old PIN spends one: PinIncorrect tells what is left.
    """
    require_acceptable(token, old, new)
    if token.pin_state().locked:
        raise PinLocked
    token.change_pin(old, new)


def require_acceptable(token: Token, old: str, new: str) -> None:
    """Check a new PIN against the old one and the limits of the key: PinUnacceptable."""
    sent = new.encode()
    if hmac.compare_digest(sent, old.encode()):
        raise PinUnacceptable("新口令不能与原口令相同")
    if any(character < " " or character == "\x7f" for character in new):
        raise PinUnacceptable("口令中不能有控制字符")
    limits = token.pin_limits()
    shortest = max(limits.shortest or 1, 1)
    if len(sent) < shortest:
        raise PinUnacceptable(f"太短，至少 {shortest} 位")
    if limits.longest is not None and len(sent) > limits.longest:
        raise PinUnacceptable(f"太长，最多 {limits.longest} 位")

"""The answer to reset (ISO/IEC 7816-3:2006 §8.2): whether one is well formed."""

from functools import reduce
from operator import xor

CONVENTIONS = {0x3B, 0x3F}
MOST = 33
_INTERFACE = (0x10, 0x20, 0x40, 0x80)  # TA, TB, TC and TD follow (§8.2.2)
_TD = 0x80


def fault_of(atr: bytes) -> str:
    """Return what is wrong with an ATR, "" for one that is well formed."""
    if len(atr) < 2 or len(atr) > MOST:  # noqa: PLR2004 - TS and T0
        return f"{len(atr)} bytes"
    if atr[0] not in CONVENTIONS:
        return f"TS is {atr[0]:02X}"
    historical, follows, at = atr[1] & 0x0F, atr[1], 2
    protocols: list[int] = []
    while True:
        at += sum(bool(follows & bit) for bit in _INTERFACE)
        if at > len(atr):
            return "interface bytes are missing"
        if not follows & _TD:
            break
        follows = atr[at - 1]
        protocols.append(follows & 0x0F)
    # TCK is absent where T=0 is the only protocol (§8.2.5).
    checked = any(protocols)
    if len(atr) != at + historical + checked:
        return f"{len(atr)} bytes where {at + historical + checked} are announced"
    if checked and reduce(xor, atr[1:]):
        return "TCK is wrong"
    return ""

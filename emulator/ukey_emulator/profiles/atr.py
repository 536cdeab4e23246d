"""Answers to reset: what a card says first of all (ISO/IEC 7816-3:2006 §8.2)."""

from functools import reduce
from operator import xor

_CONVENTIONS = {0x3B, 0x3F}  # TS, direct and inverse
_LONGEST = 33
_HAS_TD = 0x8
_T0 = 0


def checked(atr: bytes) -> bytes:
    """Give an answer to reset that is well formed; ValueError with what is wrong in another."""
    if not atr or atr[0] not in _CONVENTIONS:
        raise ValueError("it begins with 3B or 3F")
    try:
        historical, protocols = _interface(atr)
    except IndexError:
        raise ValueError("it ends before its interface bytes do") from None
    # TCK is there unless T=0 is all that is offered (§8.2.5).
    has_check = protocols != {_T0}
    length = historical + (atr[1] & 0xF) + has_check
    if len(atr) != length or length > _LONGEST:
        raise ValueError(f"it has {len(atr)} bytes, and says of itself {length}")
    if has_check and reduce(xor, atr[1:]):
        raise ValueError("its check byte is wrong")
    return atr


def _interface(atr: bytes) -> tuple[int, set[int]]:
    """Give where the historical bytes begin, and the protocols that are offered (§8.2.3)."""
    protocols, at, present = set(), 2, atr[1] >> 4
    while present & _HAS_TD:
        at += present.bit_count() - 1
        protocols.add(atr[at] & 0xF)
        present, at = atr[at] >> 4, at + 1
    return at + present.bit_count(), protocols or {_T0}

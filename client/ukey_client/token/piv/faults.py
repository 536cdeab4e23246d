"""What a card answers, in the client's terms: one translation for the package."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ukey_client.errors import PinIncorrect, PinLocked, PinNotSet, TokenFailed, TokenFull
from ukey_client.token.piv.card import BLOCKED, NO_MEMORY, WRONG_DATA, Refused
from ukey_client.token.piv.tlv import TlvError

_NOT_USABLE: Final = frozenset({0x6984, 0x6985})
_MEANINGS: Final = {
    0x6581: "存储器故障",
    0x6982: "未授权",
    0x6A80: "数据不被接受",
    0x6A81: "不支持这项功能",
    0x6D00: "不支持这项功能",
}


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn what the card refuses inside into a HolderError; `action` is Chinese."""
    try:
        yield
    except Refused as refused:
        if refused.status == NO_MEMORY:
            raise TokenFull from refused
        raise TokenFailed(action, _words(refused.status)) from refused
    except TlvError as error:
        raise TokenFailed(action, "应答的格式不正确") from error


@contextmanager
def pin_presented() -> Iterator[None]:
    """Turn the answers to a PIN that is not taken into PinIncorrect, PinLocked, PinNotSet.

    That the PIN was locked before must have been seen before: here it is locked by this try.
    """
    try:
        yield
    except Refused as refused:
        left = refused.tries_left
        if refused.status == BLOCKED or left == 0:
            raise PinLocked(just_now=True) from refused
        if left is not None:
            raise PinIncorrect(left, final_try=left == 1) from refused
        if refused.status == WRONG_DATA:
            # Of a length or form that no PIN of the card has: no try was spent.
            raise PinIncorrect from refused
        if refused.status in _NOT_USABLE:
            raise PinNotSet from refused
        raise


def _words(status: int) -> str:
    meaning = _MEANINGS.get(status)
    return f"SW {status:04X}" + (f"，{meaning}" if meaning else "")

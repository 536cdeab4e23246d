"""Which protocols a card offers, and which of them is taken (ISO/IEC 7816-3:2006 §8.2)."""

from .terms import SCARD, Protocol, ReaderRefusal

_DIRECT_CONVENTION = 0x3B
_INVERSE_CONVENTION = 0x3F
_HAS_TA, _HAS_TD = 0x1, 0x8
_BY_NUMBER = {0: Protocol.T0, 1: Protocol.T1}


def offered(atr: bytes) -> Protocol:
    """Give the protocols of an answer to reset; none if it is malformed."""
    try:
        return _offered(atr)
    except IndexError:
        return Protocol.UNDEFINED


def _offered(atr: bytes) -> Protocol:
    if atr[0] not in {_DIRECT_CONVENTION, _INVERSE_CONVENTION}:
        return Protocol.UNDEFINED
    found = Protocol.UNDEFINED
    present, at, group = atr[1] >> 4, 2, 1
    while present:
        if present & _HAS_TA and group == 2:  # noqa: PLR2004 - TA2: the card speaks only this
            return _BY_NUMBER.get(atr[at] & 0xF, Protocol.UNDEFINED)
        at += (present & ~_HAS_TD).bit_count()
        if not present & _HAS_TD:
            break
        found |= _BY_NUMBER.get(atr[at] & 0xF, Protocol.UNDEFINED)
        present, at, group = atr[at] >> 4, at + 1, group + 1
    return found or Protocol.T0  # without TD1 it is T=0


def chosen(atr: bytes, wanted: int) -> Protocol:
    """Give the protocol to speak of those that a client wants, T=1 before T=0.

    SCARD_E_PROTO_MISMATCH if the card has none of them.
    """
    if wanted & Protocol.ANY_OLD:
        wanted = Protocol.T0 | Protocol.T1
    common = wanted & offered(atr)
    for protocol in (Protocol.T1, Protocol.T0):
        if common & protocol:
            return protocol
    raise ReaderRefusal(SCARD.E_PROTO_MISMATCH)

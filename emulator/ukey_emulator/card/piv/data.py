"""GET DATA and PUT DATA (NIST SP 800-73-5 Part 2 §3.1.2, §3.3.1)."""

from ukey_emulator.card import tlv
from ukey_emulator.card.apdu import Command
from ukey_emulator.card.status import SW, CardRefusal

from . import attest
from .administrator import require
from .piv import Piv

_TAG_LIST, _DATA = 0x5C, 0x53
_CURRENT = 0x3FFF  # P1 and P2: the application that is selected
_DISCOVERY, _BIOMETRIC_GROUP = 0x7E, 0x7F61
_BARE = frozenset({_DISCOVERY, _BIOMETRIC_GROUP})  # templates of their own, in no 53
_STORABLE = range(0x5F0000, 0x600000)

LARGEST = 0x4000
"""No data object is larger, in bytes: more than what any of SP 800-73-5 has to have room for."""


def get_data(piv: Piv, command: Command) -> bytes:
    """Give a data object, named in a tag list.

    6982 for one that wants the PIN first, 6A82 for one that is not there, 6A80 for what names none,
    6A86 for other parameters.
    """
    _require_current(command)
    tag = _named(tlv.only(_TAG_LIST, command.data))
    if piv.data.is_private(tag) and not piv.state.verified:
        raise CardRefusal(SW.SECURITY_STATUS_NOT_SATISFIED, "the PIN comes first")
    if tag == attest.CERTIFICATE:
        attest.prepare(piv)
    content = piv.data.get(tag)
    if content is None:
        raise CardRefusal(SW.NOT_FOUND, f"no data object {tag:X}")
    return tlv.pack(tag if tag in _BARE else _DATA, content)


def put_data(piv: Piv, command: Command) -> bytes:
    """Put a data object in the place of what is there; with nothing in it, it is gone.

    6982 without 9B, 6A84 for one that is too large, 6A80 for what is none, 6A81 for a tag that none
    can have, 6A86 for other parameters.
    """
    _require_current(command)
    require(piv.state)
    tag, content = _object(list(tlv.read(command.data)))
    if tag not in _STORABLE and tag not in _BARE:
        raise CardRefusal(SW.FUNCTION_NOT_SUPPORTED, f"no data object can be {tag:X}")
    if len(content) > LARGEST:
        raise CardRefusal(SW.NOT_ENOUGH_MEMORY, f"{len(content)} bytes")
    piv.data.put(tag, content or None)
    return b""


def _object(parts: list[tuple[int, bytes]]) -> tuple[int, bytes]:
    match parts:
        case [(tag, content)] if tag in _BARE:
            return tag, content
        case [(tag, name), (data, content)] if (tag, data) == (_TAG_LIST, _DATA):
            return _named(name), content
    raise CardRefusal(SW.INCORRECT_DATA, "a tag list and a data object")


def _named(name: bytes) -> int:
    """Give the tag in a tag list that has one; Yubico's have three bytes, BER or not."""
    tag = int.from_bytes(name)
    if len(name) > tlv.LONGEST_TAG or tlv.name(tag) != name:
        raise CardRefusal(SW.INCORRECT_DATA, "a tag list of one")
    return tag


def _require_current(command: Command) -> None:
    if command.p1p2 != _CURRENT:
        raise CardRefusal(SW.INCORRECT_P1_P2, f"P1 and P2 are {_CURRENT:04X}")

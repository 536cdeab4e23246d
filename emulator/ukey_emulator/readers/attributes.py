"""What a reader tells of itself: attributes, and the features of PC/SC part 10."""

from collections.abc import Callable
from struct import pack

from .reader import Reader
from .terms import SCARD, Attribute, ReaderRefusal, State

_VENDOR = b"ukeylab\0"
_VERSION = 0x01000000  # major, minor, build
_CHANNEL = 0x0020 << 16  # a USB device
_LONGEST_DATA = 1 << 16
_SWALLOWED, _ABSENT = 2, 0

_GET_FEATURE_REQUEST = 0x42000000 + 3400
_GET_TLV_PROPERTIES = 0x12
_CODE_OF_PROPERTIES = 0x42330000 + _GET_TLV_PROPERTIES
_FIRMWARE_ID, _PPDU_SUPPORT, _MAX_APDU_DATA_SIZE = 8, 9, 10


def _long(value: int) -> bytes:
    return pack("=I", value)


def _atr(reader: Reader) -> bytes:
    if reader.state & State.ABSENT:
        raise ReaderRefusal(SCARD.E_NOT_TRANSACTED)
    return reader.atr


def _name(reader: Reader) -> bytes:
    return reader.name.encode() + b"\0"


_ATTRIBUTES: dict[int, Callable[[Reader], bytes]] = {
    Attribute.VENDOR_NAME: lambda _: _VENDOR,
    Attribute.VENDOR_IFD_VERSION: lambda _: _long(_VERSION),
    Attribute.VENDOR_IFD_SERIAL_NO: lambda reader: reader.serial.encode() + b"\0",
    Attribute.CHANNEL_ID: lambda _: _long(_CHANNEL),
    Attribute.MAXINPUT: lambda _: _long(_LONGEST_DATA),
    Attribute.CURRENT_PROTOCOL_TYPE: lambda reader: _long(reader.protocol),
    Attribute.ICC_PRESENCE: lambda reader: bytes(
        [_ABSENT if reader.state & State.ABSENT else _SWALLOWED]
    ),
    Attribute.ICC_INTERFACE_STATUS: lambda reader: bytes([bool(reader.state & State.POWERED)]),
    Attribute.ATR_STRING: _atr,
    Attribute.DEVICE_FRIENDLY_NAME: _name,
    Attribute.DEVICE_SYSTEM_NAME: _name,
}


def read(reader: Reader, attribute: int) -> bytes:
    """Give an attribute's value; SCARD_E_UNSUPPORTED_FEATURE for one that readers have not."""
    value = _ATTRIBUTES.get(attribute)
    if value is None:
        raise ReaderRefusal(SCARD.E_UNSUPPORTED_FEATURE)
    return value(reader)


def control(code: int) -> bytes:
    """Give what a control code asks for; SCARD_E_UNSUPPORTED_FEATURE for others.

    A program learns here that commands may be long (PC/SC part 10, dwMaxAPDUDataSize); numbers in
    the list of features are big-endian, those in the properties little-endian.
    """
    if code == _GET_FEATURE_REQUEST:
        return _tlv(_GET_TLV_PROPERTIES, pack(">I", _CODE_OF_PROPERTIES))
    if code == _CODE_OF_PROPERTIES:
        return (
            _tlv(_FIRMWARE_ID, b"ukeylab")
            + _tlv(_PPDU_SUPPORT, b"\0")
            + _tlv(_MAX_APDU_DATA_SIZE, pack("<I", _LONGEST_DATA))
        )
    raise ReaderRefusal(SCARD.E_UNSUPPORTED_FEATURE)


def _tlv(tag: int, value: bytes) -> bytes:
    return bytes([tag, len(value)]) + value

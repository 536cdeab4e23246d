"""The words of PC/SC as pcsc-lite numbers them (winscard.h, pcsclite.h, reader.h)."""

from enum import IntEnum, IntFlag


class SCARD(IntEnum):
    """What a call answers."""

    S_SUCCESS = 0
    F_INTERNAL_ERROR = 0x80100001
    E_CANCELLED = 0x80100002
    E_INVALID_HANDLE = 0x80100003
    E_INVALID_PARAMETER = 0x80100004
    E_NO_MEMORY = 0x80100006
    E_INSUFFICIENT_BUFFER = 0x80100008
    E_UNKNOWN_READER = 0x80100009
    E_SHARING_VIOLATION = 0x8010000B
    E_NO_SMARTCARD = 0x8010000C
    E_PROTO_MISMATCH = 0x8010000F
    E_INVALID_VALUE = 0x80100011
    E_NOT_TRANSACTED = 0x80100016
    E_READER_UNAVAILABLE = 0x80100017
    E_SERVICE_STOPPED = 0x8010001E
    E_UNSUPPORTED_FEATURE = 0x8010001F
    W_UNRESPONSIVE_CARD = 0x80100066
    W_UNPOWERED_CARD = 0x80100067
    W_RESET_CARD = 0x80100068
    W_REMOVED_CARD = 0x80100069


class Scope(IntEnum):
    """Where a context looks for readers; all are the same here."""

    USER = 0
    TERMINAL = 1
    SYSTEM = 2
    GLOBAL = 3


class Share(IntEnum):
    """Who else may have the card at the same time."""

    EXCLUSIVE = 1
    SHARED = 2
    DIRECT = 3


class Disposition(IntEnum):
    """What becomes of the card."""

    LEAVE = 0
    RESET = 1
    UNPOWER = 2
    EJECT = 3


class Protocol(IntFlag):
    """How bytes come to the card."""

    UNDEFINED = 0
    T0 = 1
    T1 = 2
    RAW = 4
    ANY_OLD = 0x1000


class State(IntFlag):
    """How it is with the card in a reader."""

    ABSENT = 2
    PRESENT = 4
    SWALLOWED = 8  # and mute
    POWERED = 0x10
    NEGOTIABLE = 0x20


class Command(IntEnum):
    """What a client asks (winscard_msg.h)."""

    ESTABLISH_CONTEXT = 0x01
    RELEASE_CONTEXT = 0x02
    CONNECT = 0x04
    RECONNECT = 0x05
    DISCONNECT = 0x06
    BEGIN_TRANSACTION = 0x07
    END_TRANSACTION = 0x08
    TRANSMIT = 0x09
    CONTROL = 0x0A
    STATUS = 0x0B
    CANCEL = 0x0D
    GET_ATTRIB = 0x0F
    SET_ATTRIB = 0x10
    VERSION = 0x11
    GET_READERS_STATE = 0x12
    WAIT_READER_STATE_CHANGE = 0x13
    STOP_WAITING_READER_STATE_CHANGE = 0x14
    GET_READER_EVENTS = 0x15
    GET_READERS_STATE_SIZE = 0x16
    GET_READERS_STATE_ARRAY = 0x17


class ReaderRefusal(Exception):  # noqa: N818 - a refusal is what it is
    """A call that is refused: what it answers."""

    def __init__(self, rv: SCARD) -> None:
        super().__init__(rv.name)
        self.rv = rv


class Attribute(IntEnum):
    """What can be read of a reader (reader.h)."""

    VENDOR_NAME = 0x10100
    VENDOR_IFD_VERSION = 0x10102
    VENDOR_IFD_SERIAL_NO = 0x10103
    CHANNEL_ID = 0x20110
    MAXINPUT = 0x7A007
    CURRENT_PROTOCOL_TYPE = 0x80201
    ICC_PRESENCE = 0x90300
    ICC_INTERFACE_STATUS = 0x90301
    ATR_STRING = 0x90303
    DEVICE_UNIT = 0x7FFF0001
    DEVICE_FRIENDLY_NAME = 0x7FFF0003
    DEVICE_SYSTEM_NAME = 0x7FFF0004

"""The messages of pcsc-lite's clients: fixed structures in the machine's own byte order.

A client sends a header {size, command} and a structure of that size, for some commands data behind
it whose length the structure tells. The answer is the structure alone, without a header, its last
field the return value (winscard_msg.h of pcsc-lite 1.9.9, 2.3 and 2.5).
"""

from struct import Struct
from typing import NamedTuple

from .terms import Command

HEADER = Struct("=II")
MAX_READERNAME = 128
LONGEST_DATA = 4 + 3 + (1 << 16) + 3 + 2  # MAX_BUFFER_SIZE_EXTENDED
LONGEST_ATTRIBUTE = 264  # MAX_BUFFER_SIZE
LONGEST_ATR = 33

VERSION = Struct("=iiI")  # major minor rv
ESTABLISH = Struct("=III")  # scope context rv
RELEASE = Struct("=II")  # context rv
CONNECT = Struct(f"=I{MAX_READERNAME}sIIiII")  # context reader share protocols card active rv
RECONNECT = Struct("=iIIIII")  # card share protocols initialization active rv
DISPOSE = Struct("=iII")  # card disposition rv
ON_CARD = Struct("=iI")  # card rv
TRANSMIT = Struct("=iIIIIIII")  # card, send: protocol length size, receive: the same, rv
CONTROL = Struct("=iIIIII")  # card code sent room returned rv
CANCEL = Struct("=II")  # context rv
ATTRIBUTE = Struct(f"=iI{LONGEST_ATTRIBUTE}sII")  # card attribute value length rv
EVENT = Struct("=II")  # timeout rv
READER_EVENTS = Struct("=II")  # count rv
COUNT = Struct("=i")
READER = Struct(f"={MAX_READERNAME}sIIi{LONGEST_ATR}s3xII")
"""name, event counter, state, sharing, ATR, its length, protocol"""

FIXED_READERS = 16  # PCSCLITE_MAX_READERS_CONTEXTS: how many readers clients up to 4:5 know
NO_READER = READER.pack(b"", 0, 0, 0, b"", LONGEST_ATR + 1, 0)

_NOTHING = Struct("=")


class Shape(NamedTuple):
    """What follows a header: a structure, and in it the field that tells how much data follows."""

    fields: Struct
    data_field: int | None = None


SHAPES: dict[int, Shape] = {
    Command.VERSION: Shape(VERSION),
    Command.ESTABLISH_CONTEXT: Shape(ESTABLISH),
    Command.RELEASE_CONTEXT: Shape(RELEASE),
    Command.CONNECT: Shape(CONNECT),
    Command.RECONNECT: Shape(RECONNECT),
    Command.DISCONNECT: Shape(DISPOSE),
    Command.BEGIN_TRANSACTION: Shape(ON_CARD),
    Command.END_TRANSACTION: Shape(DISPOSE),
    Command.TRANSMIT: Shape(TRANSMIT, 3),
    Command.CONTROL: Shape(CONTROL, 2),
    Command.STATUS: Shape(ON_CARD),
    Command.CANCEL: Shape(CANCEL),
    Command.GET_ATTRIB: Shape(ATTRIBUTE),
    Command.SET_ATTRIB: Shape(ATTRIBUTE),
    Command.GET_READERS_STATE: Shape(_NOTHING),
    Command.WAIT_READER_STATE_CHANGE: Shape(_NOTHING),
    Command.STOP_WAITING_READER_STATE_CHANGE: Shape(_NOTHING),
    Command.GET_READER_EVENTS: Shape(_NOTHING),
    Command.GET_READERS_STATE_SIZE: Shape(_NOTHING),
    Command.GET_READERS_STATE_ARRAY: Shape(_NOTHING),
}


class MessageError(Exception):
    """What came is no message; the connection that it came by has to end."""

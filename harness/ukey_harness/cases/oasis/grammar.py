"""Which elements a test case can have, and how their values are written.

What is not here is refused, not passed over: a value that nobody compares would look like one
that was right. The calls are those of the four published cases.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from ukey_harness.cases.oasis.script import Symbol, Value
from ukey_harness.cryptoki.names import (
    CKA,
    CKC,
    CKF,
    CKF_RW_SESSION,
    CKF_SERIAL_SESSION,
    CKK,
    CKM,
    CKO,
    CKU,
)
from ukey_harness.cryptoki.returns import SLOT_FLAGS, TOKEN_FLAGS

Read = Callable[[str], Value]

# Function → the elements of a request and of a response. A response need only have its elements
# where the call succeeds.
FUNCTIONS: dict[str, tuple[str, str]] = {
    "Initialize": ("", ""),
    "Finalize": ("", ""),
    "GetInfo": ("", "Info"),
    "GetSlotList": ("TokenPresent SlotList", "SlotList"),
    "GetSlotInfo": ("SlotID", "SlotInfo"),
    "GetTokenInfo": ("SlotID", "TokenInfo"),
    "GetMechanismList": ("SlotID MechanismList", "MechanismList"),
    "GetMechanismInfo": ("SlotID Type", "MechanismInfo"),
    "OpenSession": ("SlotID Flags", "Session"),
    "CloseSession": ("Session", ""),
    "CloseAllSessions": ("SlotID", ""),
    "Login": ("Session UserType Pin", ""),
    "Logout": ("Session", ""),
    "FindObjectsInit": ("Session Template", ""),
    "FindObjects": ("Session Object", "Object"),
    "FindObjectsFinal": ("Session", ""),
    "GetAttributeValue": ("Session Object Template", "Template"),
    "SignInit": ("Session Mechanism Key", ""),
    "Sign": ("Session Data Signature", "Signature"),
}

SESSION_FLAGS = {CKF_RW_SESSION: "CKF_RW_SESSION", CKF_SERIAL_SESSION: "CKF_SERIAL_SESSION"}
MECHANISM_FLAGS = {int(each): f"CKF_{each.name}" for each in CKF} | {
    0x1: "CKF_HW",
    0x4: "CKF_MESSAGE_DECRYPT",
    0x8: "CKF_MESSAGE_SIGN",
    0x10: "CKF_MESSAGE_VERIFY",
    0x20: "CKF_MULTI_MESSAGE",
    0x4000: "CKF_VERIFY_RECOVER",
}

_TRUTHS = {"true": True, "TRUE": True, "false": False, "FALSE": False}
_SYMBOL = re.compile(r"\$\{([A-Za-z]+(?:\[\d+\])?(?:\.[A-Za-z]+(?:\[\d+\])?)*)\}")


def symbol(text: str) -> Symbol | None:
    """Return the symbol that a text is, if it is one; ValueError where it only looks like one."""
    if "${" not in text:
        return None
    if (found := _SYMBOL.fullmatch(text)) is None:
        raise ValueError(f"{text!r} is no symbol: ${{Name}}, ${{Name.Part}} or ${{Name.Part[0]}}")
    return Symbol(found[1])


def number(text: str) -> int | Symbol:
    """Read a whole number, decimal or 0x…, or a symbol."""
    if (named := symbol(text)) is not None:
        return named
    if not re.fullmatch(r"\d+|0x[0-9a-fA-F]+", text):
        raise ValueError(f"{text!r} is no whole number")
    return int(text, 0)


def count(text: str) -> int:
    """Read a whole number that no symbol stands for."""
    if isinstance(value := number(text), Symbol):
        raise ValueError(f"{value} is no number")  # noqa: TRY004 - a fault of the file
    return value


def secret(text: str) -> Value:
    """Read a PIN."""
    return symbol(text) or text


def _truth(text: str) -> bool:
    if text not in _TRUTHS:
        raise ValueError(f"{text!r} is neither true nor false")
    return _TRUTHS[text]


def _octets(text: str) -> bytes:
    return bytes.fromhex(text)


def _named(names: type[IntEnum], prefix: str) -> Read:
    def read(text: str) -> int:
        if text not in names.__members__:
            raise ValueError(f"{prefix}{text} is not known here")
        return int(names[text])

    return read


def _flags(table: Mapping[int, str]) -> Read:
    bits = {name.removeprefix("CKF_"): bit for bit, name in table.items()}

    def read(text: str) -> int:
        if re.fullmatch(r"0x[0-9a-fA-F]+", text):
            return int(text, 16)
        total = 0
        for word in text.split("|"):
            if word not in bits:
                raise ValueError(f"CKF_{word} is not known here")
            total |= bits[word]
        return total

    return read


# How the value of an attribute is written.
ATTRIBUTES: dict[CKA, Read] = {
    CKA.CLASS: _named(CKO, "CKO_"),
    CKA.KEY_TYPE: _named(CKK, "CKK_"),
    CKA.CERTIFICATE_TYPE: _named(CKC, "CKC_"),
    CKA.PROFILE_ID: count,
    CKA.LABEL: str,
    CKA.UNIQUE_ID: str,
    **dict.fromkeys((CKA.TOKEN, CKA.PRIVATE, CKA.MODIFIABLE), _truth),
    **dict.fromkeys(
        (CKA.ID, CKA.VALUE, CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.EC_PARAMS, CKA.EC_POINT), _octets
    ),
}


@dataclass(frozen=True)
class Shape:
    """What an element can have: a value, a length, a version; and the elements in it.

    items: a name with * may come more than once. optional: value and length need not be there.
    """

    value: Read | None = None
    length: bool = False
    version: bool = False
    items: str = ""
    optional: bool = False


_VERSION = Shape(version=True)
_TEXT = Shape(str)
_NUMBER = Shape(count)
_HANDLE = Shape(number)
_ROOM = Shape(length=True, optional=True)
_COUNTS = "MaxSessionCount SessionCount MaxRwSessionCount RwSessionCount MaxPinLen MinPinLen"
_MEMORY = "TotalPublicMemory FreePublicMemory TotalPrivateMemory FreePrivateMemory"

# By the name of the element, where needed after that of the one around it; "=" marks a response.
_SHAPES: dict[str, Shape] = {
    "Info": Shape(items="CryptokiVersion ManufacturerID Flags LibraryDescription LibraryVersion"),
    "SlotInfo": Shape(items="SlotDescription ManufacturerID Flags HardwareVersion FirmwareVersion"),
    "TokenInfo": Shape(
        items="label ManufacturerID model serialNumber Flags "
        f"{_COUNTS} {_MEMORY} HardwareVersion FirmwareVersion utcTime"
    ),
    "MechanismInfo": Shape(items="MinKeySize MaxKeySize Flags"),
    "Info/Flags": _NUMBER,
    "SlotInfo/Flags": Shape(_flags(SLOT_FLAGS)),
    "TokenInfo/Flags": Shape(_flags(TOKEN_FLAGS)),
    "MechanismInfo/Flags": Shape(_flags(MECHANISM_FLAGS)),
    "OpenSession/Flags": Shape(_flags(SESSION_FLAGS)),
    **dict.fromkeys(("CryptokiVersion", "LibraryVersion"), _VERSION),
    **dict.fromkeys(("HardwareVersion", "FirmwareVersion"), _VERSION),
    **dict.fromkeys(("ManufacturerID", "LibraryDescription", "SlotDescription"), _TEXT),
    **dict.fromkeys(("label", "model", "serialNumber", "utcTime"), _TEXT),
    **dict.fromkeys((*_COUNTS.split(), *_MEMORY.split(), "MinKeySize", "MaxKeySize"), _NUMBER),
    "TokenPresent": Shape(_truth),
    "SlotList": _ROOM,
    "=SlotList": Shape(length=True, items="SlotID*", optional=True),
    "MechanismList": _ROOM,
    "=MechanismList": Shape(length=True, items="Type*", optional=True),
    **dict.fromkeys(("SlotID", "Session", "Key", "Object"), _HANDLE),
    "FindObjects/Object": Shape(length=True),
    "=FindObjects/Object": Shape(items="Object*"),
    "Type": Shape(_named(CKM, "CKM_")),
    "Mechanism": Shape(items="Type"),
    "UserType": Shape(_named(CKU, "CKU_")),
    "Pin": Shape(secret),
    "Template": Shape(items="Attribute*"),
    "Data": Shape(_octets),
    "Signature": Shape(length=True),
    "=Signature": Shape(_octets),
}


def shape(name: str, around: str, *, response: bool) -> Shape:
    """Return the shape of an element that stands in another, or in a call of a function."""
    mark = "=" if response else ""
    keys = (f"{mark}{around}/{name}", f"{around}/{name}", f"{mark}{name}", name)
    return next(_SHAPES[key] for key in keys if key in _SHAPES)

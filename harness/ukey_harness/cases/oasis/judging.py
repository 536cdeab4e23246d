"""How what a module gives stands to what a test case shows.

The rule is PKCS#11 Profiles 3.2, "Permitted Test Case Variations": some items may vary, named one
by one, and in the lists of slots and mechanisms number and order of the entries. Hence:

- Return values, which outputs there are, CryptokiVersion and the flags of Info are as shown. A
  flag that is shown is set.
- Free are the items that the rule names. They are looked at for their form alone: ManufacturerID,
  LibraryDescription, SlotDescription, label, model, serialNumber are UTF-8 padded with blanks, a
  utcTime of a token with a clock is digits; LibraryVersion, HardwareVersion, FirmwareVersion are
  any; handles are not 0 and differ from one another; VALUE, EC_POINT, UNIQUE_ID are not empty,
  PUBLIC_EXPONENT is odd and more than 1. Of a list at least one entry is one that is shown.
- Some items the rule does not name, and yet no token could be as shown: the cases print one
  product's limits, the modulus of a key that is published nowhere, and signatures by it. These are
  judged by the standard itself: more flags than shown; session counts, PIN lengths, memory and key
  sizes (least not above most, free not above total); MODULUS (as long as shown); Signature (it
  verifies with the public key that was read); LABEL and ID (of another object, and objects may
  vary). A case with such a difference is "allowed", not "exact", and the record names each.
- What is searched for: no fewer objects than shown, and no more than asked for. A case that shows
  none shows an empty token; there may be some, for a profile's token has a profile object.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from ukey_harness.cases.oasis.grammar import MECHANISM_FLAGS
from ukey_harness.cases.oasis.script import Item
from ukey_harness.cryptoki.names import CKA, CKM, UNAVAILABLE
from ukey_harness.cryptoki.returns import SLOT_FLAGS, TOKEN_FLAGS, flag_names

TEXTS = {
    *("ManufacturerID", "LibraryDescription", "SlotDescription"),
    *("label", "model", "serialNumber"),
}
FREE_VERSIONS = {"LibraryVersion", "HardwareVersion", "FirmwareVersion"}
FLAGS: Mapping[str, Mapping[int, str]] = {
    "SlotInfo": SLOT_FLAGS,
    "TokenInfo": TOKEN_FLAGS,
    "MechanismInfo": MECHANISM_FLAGS,
}
CLOCK_ON_TOKEN = 0x40
# The attributes that the rule names; PUBLIC_EXPONENT is the other one that is read here.
FREE_ATTRIBUTES = {CKA.VALUE, CKA.EC_POINT, CKA.UNIQUE_ID}
OWN_ATTRIBUTES = {CKA.LABEL, CKA.ID}
ORDERED = (  # the first is not more than the second
    ("MinPinLen", "MaxPinLen"),
    ("MinKeySize", "MaxKeySize"),
    ("FreePublicMemory", "TotalPublicMemory"),
    ("FreePrivateMemory", "TotalPrivateMemory"),
    ("RwSessionCount", "SessionCount"),
)
SHOWN = 24  # digits of a value that stand in the record


class Level(IntEnum):
    """SAME as shown; FREE: the rule lets it vary; OPEN: it does not, the standard does; WRONG."""

    SAME = 0
    FREE = 1
    OPEN = 2
    WRONG = 3


@dataclass(frozen=True)
class Row:
    """One value of a response: as the case shows it, as the module gave it."""

    name: str
    shown: str
    given: str
    level: Level
    why: str = ""

    def __str__(self) -> str:
        return f"{self.name} is {self.given}, not {self.shown}" + (f": {self.why}" * bool(self.why))


def structure(shown: Item, given: Any) -> list[Row]:  # noqa: ANN401 - a C struct
    """Compare a structure, field by field."""
    rows = [_field(shown.name, item, given) for item in shown]
    numbers = {item.name: int(getattr(given, _c_name(item))) for item in shown if _is_count(item)}
    for less, more in ORDERED:
        known = [numbers.get(each, UNAVAILABLE) for each in (less, more)]
        if UNAVAILABLE not in known and known[0] > known[1]:
            rows.append(Row(less, f"at most {more}", str(numbers[less]), Level.WRONG))
    return rows


def _is_count(item: Item) -> bool:
    return isinstance(item.value, int) and item.name != "Flags"


def _c_name(item: Item) -> str:
    """Return a field's name in C: ulMaxPinLen of MaxPinLen, manufacturerID of ManufacturerID."""
    return f"ul{item.name}" if _is_count(item) else item.name[0].lower() + item.name[1:]


def _field(around: str, item: Item, structure: Any) -> Row:  # noqa: ANN401 - a C struct
    given = getattr(structure, _c_name(item))
    if isinstance(item.value, tuple):
        return _version(item.name, item.value, (int(given.major), int(given.minor)))
    if isinstance(item.value, str):
        clock = item.name != "utcTime" or bool(structure.flags & CLOCK_ON_TOKEN)
        return _text(item.name, item.value, bytes(given), clock=clock)
    if item.name != "Flags":
        return _count(item, int(given))
    if around == "Info":
        level = Level.SAME if given == item.value else Level.WRONG
        return Row("Flags", hex(_whole(item)), hex(given), level)
    return _flags(_whole(item), int(given), FLAGS[around])


def _whole(item: Item) -> int:
    assert isinstance(item.value, int)  # noqa: S101 - for the type checker
    return item.value


def _version(name: str, shown: tuple[int, int], given: tuple[int, int]) -> Row:
    different = Level.FREE if name in FREE_VERSIONS else Level.WRONG
    texts = f"{shown[0]}.{shown[1]}", f"{given[0]}.{given[1]}"
    return Row(name, *texts, Level.SAME if shown == given else different)


def _text(name: str, shown: str, field: bytes, *, clock: bool) -> Row:
    given = field.decode(errors="backslashreplace")
    texts = repr(shown.rstrip()), repr(given.rstrip())
    if given == shown:
        return Row(name, *texts, Level.SAME)
    if name == "utcTime":
        right = not clock or given.isdigit()
        why = "" if right else "a token with a clock gives the time in digits"
    else:
        right = "\\" not in given and "\0" not in given
        why = "" if right else "not UTF-8 padded with blanks"
    return Row(name, *texts, Level.FREE if right else Level.WRONG, why)


def _count(item: Item, given: int) -> Row:
    texts = str(item.value), _known(given)
    return Row(item.name, *texts, Level.SAME if given == item.value else Level.OPEN)


def _flags(shown: int, given: int, table: Mapping[int, str]) -> Row:
    texts = _names(shown, table), _names(given, table)
    if lacking := shown & ~given:
        why = f"without {_names(lacking, table)}"
        return Row("Flags", *texts, Level.WRONG, why)
    return Row("Flags", *texts, Level.SAME if shown == given else Level.OPEN)


def _names(flags: int, table: Mapping[int, str]) -> str:
    return "|".join(flag_names(flags, dict(table))) or "0"


def _known(number: int) -> str:
    return "unavailable" if number == UNAVAILABLE else str(number)


def listed(name: str, shown: Iterable[int], given: list[int]) -> Row:
    """Compare a list of mechanisms: one of those that are shown is in it, and none twice."""
    wanted = list(shown)
    texts = _mechanisms(wanted), _mechanisms(given)
    if len(set(given)) != len(given):
        return Row(name, *texts, Level.WRONG, "one of them stands there twice")
    if wanted and not set(wanted) & set(given):
        return Row(name, *texts, Level.WRONG, "none of those shown is there")
    return Row(name, *texts, Level.SAME if wanted == given else Level.FREE)


def _mechanisms(kinds: Iterable[int]) -> str:
    known = {int(each): each.name for each in CKM}
    return ", ".join(known.get(each, hex(each)) for each in kinds)


def counted(name: str, given: int, most: int) -> Row:
    """Judge how many entries a list is said to have, of those that there is room for."""
    right = 1 <= given <= most
    return Row(name, f"1 to {most}", str(given), Level.SAME if right else Level.WRONG)


def slots(least: int, given: list[int]) -> Row:
    """Compare a list of slots: no fewer than shown, and none twice."""
    texts = str(least), str(len(given))
    if len(given) < least or len(set(given)) != len(given):
        return Row("SlotList", *texts, Level.WRONG, "one is missing, or there twice")
    return Row("SlotList", *texts, Level.SAME if len(given) == least else Level.FREE)


def handles(name: str, least: int, most: int, given: list[int]) -> Row:
    """Compare handles that a call gave: how many there are, none of them 0, and none twice."""
    shown, seen = f"{least}", f"{len(given)}"
    if not least <= len(given) <= most:
        return Row(name, shown, seen, Level.WRONG, f"{least} to {most} are right")
    if 0 in given or len(set(given)) != len(given):
        return Row(name, shown, seen, Level.WRONG, "a handle is 0, or there twice")
    return Row(name, shown, seen, Level.SAME if least == len(given) else Level.FREE)


def length(shown: Item, given: int) -> Row:
    """Compare an attribute's length."""
    name = f"length of {CKA(shown.kind).name}"
    if isinstance(shown.length, int) and given == shown.length:
        return Row(name, str(shown.length), str(given), Level.SAME)
    texts = str(shown.length), _known(given)
    if given in (0, UNAVAILABLE):
        return Row(name, *texts, Level.WRONG, "there is nothing to be read")
    if not isinstance(shown.length, int) or shown.kind in FREE_ATTRIBUTES | {CKA.PUBLIC_EXPONENT}:
        return Row(name, *texts, Level.FREE)
    return Row(name, *texts, Level.OPEN if shown.kind in OWN_ATTRIBUTES else Level.WRONG)


def value(shown: Item, given: bytes | None) -> Row:
    """Compare an attribute's value; None: the module gave none."""
    kind = CKA(shown.kind)
    texts = shortened(shown.written), "none" if given is None else _written(shown, given)
    if given is None:
        return Row(kind.name, *texts, Level.WRONG)
    if encoded(shown) == (given.rstrip(b"\0") if isinstance(shown.value, str) else given):
        return Row(kind.name, *texts, Level.SAME)
    level, why = Level.WRONG, ""
    if kind in FREE_ATTRIBUTES:
        level, why = (Level.FREE, "") if given else (Level.WRONG, "it is empty")
    elif kind == CKA.PUBLIC_EXPONENT:
        exponent = int.from_bytes(given)
        level = Level.FREE if exponent > 1 and exponent % 2 else Level.WRONG
    elif kind == CKA.MODULUS:
        same = len(given.lstrip(b"\0")) == len(encoded(shown))
        level, why = (Level.OPEN, "") if same else (Level.WRONG, f"{len(given)} bytes")
    elif kind in OWN_ATTRIBUTES:
        level = Level.OPEN if given else Level.WRONG
    return Row(kind.name, *texts, level, why)


def encoded(shown: Item) -> bytes:
    """Return an attribute's value as the bytes that a token holds."""
    match shown.value:
        case bool():
            return bytes([shown.value])
        case int():
            return shown.value.to_bytes(8, "little")
        case str():
            return shown.value.encode()
        case bytes():
            return shown.value
        case _:
            return b""


def _written(shown: Item, given: bytes) -> str:
    if isinstance(shown.value, str):
        return shortened(given.decode(errors="backslashreplace").replace("\0", "\\0"))
    return shortened(given.hex())


def shortened(text: str) -> str:
    """Return a value as it stands in the record."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"


def signature(shown: Item, given: bytes, data: bytes, public: Mapping[int, bytes]) -> Row:
    """Judge a signature by the public key that the case has read: CKM_SHA256_RSA_PKCS."""
    assert isinstance(shown.value, bytes)  # noqa: S101 - for the type checker
    texts = shortened(shown.written), shortened(given.hex())
    if not {CKA.MODULUS, CKA.PUBLIC_EXPONENT} <= set(public):
        why = "the case has read no public key to verify it with"
        same = len(given) == len(shown.value)
        return Row("Signature", *texts, Level.OPEN if same else Level.WRONG, why)
    exponent, modulus = (
        int.from_bytes(public[each]) for each in (CKA.PUBLIC_EXPONENT, CKA.MODULUS)
    )
    try:
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        key.verify(given, data, padding.PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        why = "it does not verify with the public key that was read"
        return Row("Signature", *texts, Level.WRONG, why)
    return Row("Signature", *texts, Level.SAME if given == shown.value else Level.OPEN)

"""What the tables of a profile say of the key itself: from TOML's members to an Identity."""

from collections.abc import Mapping
from typing import Any

from ukey_emulator.terms import CKF, CKM
from ukey_emulator.terms.operations import COMMANDS, FUNCTIONS

from .atr import checked
from .identity import Identity, MechanismFacts, Pad, SlotFacts, Timing
from .quirks import quirk
from .serial import SerialRule
from .table import ProfileError, Table, close, term

# The algorithms of a card management key that has the usual 24 bytes (NIST SP 800-78-5 table 6-2).
_MANAGEMENT = {"3DES": 0x03, "AES-192": 0x0A}
_READER_BYTES = 100  # of the 127 that pcsc-lite has for it and its numbers
_LONGEST_PIN = 255
_MOST_MEMORY = 1 << 40
_MOST_SESSIONS = 1 << 20
_MOST_BITS = 65_536
_MOST_SECONDS = 250.0  # the module waits for 300
_WORD = 8  # bytes
_USUAL = Identity()
_SLOT = SlotFacts()

# What there is besides: how keys come by their serial number, label, PINs and objects.
TABLES = ("token", "slot", "pins", "pad", "mechanisms", "memory", "sessions", "reader", "card")


def identity_of(whole: Table) -> Identity:
    """Read all that a profile says of the key itself; other members are left for others."""
    token, pins = whole.table("token"), whole.table("pins")
    mechanisms = _mechanisms(whole.table("mechanisms"))
    memory, sessions = whole.table("memory"), whole.table("sessions")
    card, reader = whole.table("card"), whole.table("reader")
    identity = Identity(
        serials=SerialRule.read(token.table("serial")),
        manufacturer=token.text("manufacturer", _USUAL.manufacturer, most=32),
        model=token.text("model", _USUAL.model, most=16),
        hardware_version=token.version("hardware_version", _USUAL.hardware_version),
        firmware_version=token.version("firmware_version", _USUAL.firmware_version),
        rng=token.flag("rng", default=True),
        dual_crypto=token.flag("dual_crypto", default=True),
        saves_digests=token.flag("saves_digests", default=True),
        write_protected=token.flag("write_protected", default=False),
        slot=_slot(whole.table("slot")),
        min_pin_length=pins.number("min", _USUAL.min_pin_length, 1, _LONGEST_PIN),
        max_pin_length=pins.number("max", _USUAL.max_pin_length, 1, _LONGEST_PIN),
        pad=_pad(whole),
        **mechanisms,
        public_memory=_limit(memory, "public"),
        private_memory=_limit(memory, "private"),
        max_sessions=sessions.number("max", 0, 0, _MOST_SESSIONS),
        max_rw_sessions=sessions.number("max_rw", 0, 0, _MOST_SESSIONS),
        timing=tuple(_timing(table) for table in whole.tables("timing")),
        quirks=frozenset(map(quirk, whole.names("quirks", "tries-are-not-told"))),
        reader=reader.text("name", most=_READER_BYTES),
        atr=_atr(card),
        management=_MANAGEMENT[card.one_of("management", "3DES", _MANAGEMENT)],
        filled=card.flag("filled", default=True),
    )
    if identity.min_pin_length > identity.max_pin_length:
        raise pins.refuse("min", "is more than max")
    for table in (memory, sessions, card, reader):
        table.done()
    return identity


def _slot(slot: Table) -> SlotFacts:
    description = slot.text("description", _SLOT.description, most=64)
    if "{" in description.replace("{name}", ""):
        raise slot.refuse("description", "has nothing in braces but {name}")
    facts = SlotFacts(
        description,
        slot.text("manufacturer", _SLOT.manufacturer, most=32),
        slot.version("hardware_version", _SLOT.hardware_version),
        slot.version("firmware_version", _SLOT.firmware_version),
        slot.flag("removable", default=True),
        slot.flag("hardware", default=True),
    )
    slot.done()
    return facts


def _pad(whole: Table) -> Pad | None:
    there = "pad" in whole
    table = whole.table("pad")
    pad = Pad(table.seconds("timeout", 30, _MOST_SECONDS), table.flag("host_pins", default=False))
    table.done()
    return pad if there else None


def _limit(memory: Table, name: str) -> int | None:
    limit = memory.number(name, -1, -1, _MOST_MEMORY)
    return None if limit < 0 else limit


def _atr(card: Table) -> bytes:
    text = card.text("atr")
    try:
        return checked(bytes.fromhex(text)) if text else b""
    except ValueError as error:
        raise card.refuse("atr", f"is no answer to reset: {error}") from None


def _mechanisms(table: Table) -> dict[str, Any]:
    """Read which mechanisms the key has, lists and tells of in its own way."""
    off = table.names("off", "CKM_SHA_1")
    has_only = "only" in table
    only = table.names("only", "CKM_SHA256")
    shown = table.names("shown", "CKM_SHA256")
    if off and has_only:
        raise table.refuse("only", "does not go with off: say one of them")
    there = tuple(mechanism(name) for name in only)
    promised = tuple(mechanism(name) for name in shown)
    order = tuple(mechanism(name) for name in table.names("order", "CKM_SHA256"))
    if (promised or order) and not has_only:
        raise table.refuse("shown" if promised else "order", "goes with only")
    if has_only:
        lists = {
            "listed": _in_order(table, there, promised, order),
            "without": frozenset(map(int, CKM)) - frozenset(there),
        }
    else:
        lists = {"listed": (), "without": frozenset(mechanism(name) for name in off)}
    own = table.tables_like("CKM_", "0x")
    info = tuple((mechanism(name), _told(each)) for name, each in own.items())
    table.done()
    return {**lists, "mechanisms": info}


def _in_order(
    table: Table, there: tuple[int, ...], promised: tuple[int, ...], order: tuple[int, ...]
) -> tuple[int, ...]:
    """Give what is listed, in the order that `order` says if it does."""
    both = (*there, *promised)
    if len(set(both)) != len(both):
        raise table.refuse("shown", "names a mechanism twice, or one that stands in only")
    if order and sorted(order) != sorted(both):
        raise table.refuse("order", "has all that stand in only and shown, each once")
    return order or both


def _told(table: Table) -> MechanismFacts:
    sizes = table.numbers("sizes", 2)
    flags = 0
    for name in table.names("flags", "CKF_SIGN"):
        flags |= number_of(name) if name.startswith("0x") else term(CKF, name, "flag")
    table.done()
    return MechanismFacts((sizes[0], sizes[1]), flags)


def mechanism(name: str) -> int:
    """Give the mechanism of that name, or one of a vendor that has none: `0x80000001`."""
    return number_of(name) if name.startswith("0x") else term(CKM, name, "mechanism")


def number_of(text: str) -> int:
    """Read a number in hexadecimal digits that fits a CK_ULONG."""
    try:
        number = int(text, 16)
        number.to_bytes(_WORD)
    except (ValueError, OverflowError):
        raise ProfileError(f"{text!r} is no number like 0x80000001") from None
    return number


def _timing(table: Table) -> Timing:
    function, apdu = table.text("function"), table.text("apdu")
    if bool(function) == bool(apdu):
        raise ProfileError(f"{table.place} has one of the two: function or apdu")
    if function and function not in FUNCTIONS:
        raise ProfileError(f"there is no function {function!r}{close(function, FUNCTIONS)}")
    named, bits = table.text("mechanism"), table.number("bits", 0, 0, _MOST_BITS)
    if apdu and (named or bits):
        raise table.refuse("apdu", "goes without mechanism and bits")
    if "seconds" not in table:
        raise table.refuse("seconds", "is missing")
    timing = Timing(
        function or _instruction(apdu),
        table.seconds("seconds", 0, _MOST_SECONDS),
        mechanism(named) if named else None,
        bits or None,
    )
    table.done()
    return timing


def _instruction(name: str) -> int:
    for number, known in COMMANDS.items():
        if name in (known, f"{number:02X}"):
            return number
    hint = close(name, COMMANDS.values()) or f"; there are: {', '.join(COMMANDS.values())}"
    raise ProfileError(f"there is no command {name!r}{hint}")


def device_members(whole: Mapping[str, Any]) -> dict[str, Any]:
    """Give the members of a profile that `identity_of` reads, and that a key keeps."""
    kept = {name: whole[name] for name in ("name", *TABLES, "timing", "quirks") if name in whole}
    if "pins" in kept:
        kept["pins"] = {name: kept["pins"][name] for name in ("min", "max") if name in kept["pins"]}
    return kept

"""What a rack looks like at this moment: its slots, its keys, who uses them."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ukey_emulator.chip import Chip, Role
from ukey_emulator.cryptoki.application import Application
from ukey_emulator.slots import Slot

_ROLES = {Role.USER: "user", Role.SO: "SO"}


@dataclass(frozen=True, slots=True)
class UseInfo:
    """A program with sessions on a key; `login` is user or SO, None if nobody is logged in."""

    pid: int
    program: str
    sessions: int
    login: str | None


@dataclass(frozen=True, slots=True)
class PinInfo:
    """How many tries a PIN has left, of how many."""

    left: int
    tries: int


@dataclass(frozen=True, slots=True)
class SlotInfo:
    """A slot; what is told of the key is None where none is in it.

    `name` is that of the key that it is for, `key` of the one that is in it. A PIN that is not set
    is None. `reader` is what PC/SC calls its reader, None while it has none. `card` tells whether
    the PIN stands verified for who uses the key as a card.
    """

    slot: int
    name: str
    key: str | None
    reader: str | None
    label: str | None
    serial: str | None
    user: PinInfo | None
    so: PinInfo | None
    programs: tuple[UseInfo, ...]
    card: bool


@dataclass(frozen=True, slots=True)
class StatusInfo:
    """A rack: its keys and programs by number, how many calls it has had, its slots."""

    home: str
    keys: int
    programs: int
    calls: int
    slots: tuple[SlotInfo, ...]


def slots_of(
    slots: Iterable[Slot],
    programs: Iterable[Application],
    reader_of: Callable[[int], str | None],
) -> tuple[SlotInfo, ...]:
    """Look at slots, with these programs; `reader_of` names the reader of a slot by its number."""
    uses = _uses(programs)
    return tuple(_slot(slot, uses, reader_of(slot.number)) for slot in slots)


def _uses(applications: Iterable[Application]) -> dict[Chip, tuple[UseInfo, ...]]:
    found: dict[Chip, tuple[UseInfo, ...]] = defaultdict(tuple)
    for application in applications:
        for chip, sessions in application.in_use().items():
            role = application.role(chip)
            login = None if role is None else _ROLES[role]
            found[chip] += (UseInfo(application.pid, application.name, sessions, login),)
    return found


def _slot(slot: Slot, uses: dict[Chip, tuple[UseInfo, ...]], reader: str | None) -> SlotInfo:
    chip = slot.chip
    if chip is None:
        return SlotInfo(
            slot.number, slot.name, None, reader, None, None, None, None, (), card=False
        )
    programs = uses.get(chip, ())
    by_module = sum(each.login == _ROLES[Role.USER] for each in programs)
    return SlotInfo(
        slot.number,
        slot.name,
        slot.key,
        reader,
        chip.label,
        chip.identity.serial,
        _pin(chip, Role.USER),
        _pin(chip, Role.SO),
        programs,
        card=chip.logins(Role.USER) > by_module,
    )


def _pin(chip: Chip, role: Role) -> PinInfo | None:
    record = chip.pin(role)
    return None if record is None else PinInfo(record.tries_left, record.tries)

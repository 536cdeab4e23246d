"""What a rack looks like in a terminal: from what the control port tells, to a screen or lines."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ukey_emulator.remote import Call, FaultInfo, Pin, SlotStatus, Status, Use

_LOW = 3  # tries that are few
_MOST_FAULTS = 6  # that are shown
_FRAME = 3  # lines of a table that are no rows: its head, the rule below it, what was left out
_GOOD = ("CKR_OK", "SW_9000")


@dataclass(slots=True)
class View:
    """What is shown at one moment.

    `rate` is calls per second, `faults` are those that are armed, `log` is what the rack complains
    of.
    """

    status: Status
    rate: float = 0.0
    calls: Sequence[Call] = ()
    faults: Sequence[FaultInfo] = ()
    log: Sequence[str] = field(default_factory=tuple)


def screen(view: View, height: int) -> RenderableType:
    """Lay everything out in so many lines: slots in use before others, where there is no room."""
    parts: list[RenderableType] = [headline(view, "q quits"), Text()]
    faults = [fault_line(fault) for fault in view.faults[:_MOST_FAULTS]]
    left = height - 2 - len(view.log) - (len(faults) + 1 if faults else 0)
    calls = min(len(view.calls), max(3, left // 3)) if view.calls else 0
    slots = view.status["slots"]
    room = max(1, left - _FRAME - (calls + 1 if calls else 0))
    parts.append(_slots(slots, room))
    if faults:
        parts += [Text(), *faults]
    if calls:
        parts += [Text(), *(call_line(call) for call in view.calls[-calls:])]
    parts += [Text(_plain(line), style="yellow", no_wrap=True) for line in view.log]
    return Group(*parts)


def headline(view: View, hint: str = "") -> Text:
    """Say in one line what goes on in the rack and where it is."""
    status = view.status
    here = sum(slot["key"] is not None for slot in status["slots"])
    facts = [
        f"{here} of {_counted(status['keys'], 'key')} plugged in",
        _counted(status["programs"], "program"),
        f"{_counted(status['calls'], 'call')}, {view.rate:,.0f}/s",
        *([hint] if hint else []),
        _plain(status["home"]),
    ]
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append("ukeylab rack", style="bold")
    text.append(f"  {' · '.join(facts)}")
    return text


def _slots(slots: Sequence[SlotStatus], room: int) -> Table:
    table = Table(box=None, pad_edge=False, expand=False, header_style="bold dim")
    for title in ("slot", "key", "label", "serial", "PIN", "SO PIN", "used by"):
        table.add_column(title, no_wrap=True, overflow="ellipsis")
    if not slots:
        table.add_row("", Text("no keys yet: make one with 'ukey key new'", style="dim"))
    shown = slots
    if len(slots) > room:
        used = sorted(slots, key=lambda slot: (not _busy(slot), slot["slot"]))
        shown = sorted(used[: max(1, room - 1)], key=lambda slot: slot["slot"])
    for slot in shown:
        name = Text(_key(slot), style="" if slot["key"] else "dim")
        table.add_row(
            str(slot["slot"]),
            name,
            Text(_plain(slot["label"] or "")),
            Text(_plain(slot["serial"] or "")),
            *(_tries(slot, slot[role]) for role in ("user", "so")),
            Text(users(slot), style="green" if _logged_in(slot) else ""),
        )
    if len(shown) < len(slots):
        table.add_row("", Text(f"and {len(slots) - len(shown):,} more", style="dim"))
    return table


def call_line(call: Call) -> Text:
    """Tell of a call in one line."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{call['n']:>8,} ", style="dim")
    text.append(f"{_plain(call['program'])}[{call['pid']}] {call['function']} ")
    text.append(call["rv"], style="green" if call["rv"] in _GOOD else "yellow")
    text.append(f" {call['us']:,} µs", style="dim")
    return text


def fault_line(fault: FaultInfo) -> Text:
    """Tell of a fault in one line: what it was told in, how often it has happened."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"fault {_plain(fault.name)} ", style="bold red" if fault.fired else "bold")
    text.append(f"fired {fault.fired:,} of {fault.met:,}")
    if fault.waiting:
        text.append(f", {_counted(fault.waiting, 'call')} hanging", style="bold red")
    members = (f"{name} = {value}" for name, value in fault.members.items() if name != "name")
    text.append(_plain(f"  {', '.join(members)}"), style="dim")
    return text


def slot_line(slot: SlotStatus) -> str:
    """Tell of a slot in one line, for who has no terminal."""
    told = [f"slot {slot['slot']}", _key(slot)]
    if slot["key"] is not None:
        told += [_plain(slot["label"] or ""), _plain(slot["serial"] or "")]
        told += [f"PIN {_tries(slot, slot['user'])}", f"SO PIN {_tries(slot, slot['so'])}"]
        told.append(users(slot) or "unused")
    return "  ".join(told)


def users(slot: SlotStatus) -> str:
    """Say who uses a key: programs with their sessions and logins, and whoever has the card."""
    told = [_use(use) for use in slot["programs"]]
    if slot["card"]:
        told.append("card: user")
    return "; ".join(told)


def _use(use: Use) -> str:
    sessions = _counted(use["sessions"], "session")
    login = f"{use['login']}, " if use["login"] else ""
    return f"{_plain(use['program'])}[{use['pid']}]: {login}{sessions}"


def _key(slot: SlotStatus) -> str:
    if slot["key"] is None:
        return f"({slot['name']} is out)"
    return slot["key"] if slot["key"] == slot["name"] else f"{slot['key']} (for {slot['name']})"


def _tries(slot: SlotStatus, pin: Pin | None) -> Text:
    if slot["key"] is None:
        return Text()
    if pin is None:
        return Text("not set", style="dim")
    if not pin["left"]:
        return Text("locked", style="bold red")
    few = pin["left"] < pin["tries"] and pin["left"] <= _LOW
    return Text(f"{pin['left']}/{pin['tries']}", style="yellow" if few else "")


def _busy(slot: SlotStatus) -> bool:
    return bool(slot["programs"]) or slot["card"]


def _logged_in(slot: SlotStatus) -> bool:
    return slot["card"] or any(use["login"] for use in slot["programs"])


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _plain(text: str) -> str:
    """Show what programs call themselves without what would move the cursor."""
    return "".join(letter if letter.isprintable() else "·" for letter in text)

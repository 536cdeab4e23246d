"""Whether what a cut left is what it may leave."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from state import NOTHING, KeyState, State, asdict_of


class WrongStateError(Exception):
    """A state that must not be; the message says why."""


@dataclass
class Told:
    """How far a scene has come: answers given, and whose PINs were compared, or right, since."""

    answers: int = -1
    compared: set[str] = field(default_factory=set)
    right: set[str] = field(default_factory=set)

    def hear(self, word: str) -> None:
        """Hear what happened next."""
        match word.split():
            case ["answer"]:
                self.answers += 1
                self.compared, self.right = set(), set()
            case ["compared", role]:
                self.compared.add(role)
                self.right.discard(role)
            case ["right", role]:
                self.right.add(role)


def judge(found: State, told: Told, states: list[State], *, exact: bool) -> None:
    """Judge what a cut left, by what was to be seen after each answer; WrongStateError.

    It has to be as after the last answer or as after the next, but for what `counted` says.
    """
    tried = []
    for number in (told.answers, told.answers + 1):
        if number < len(states):
            before = number == told.answers
            wrong = difference(found, states[number], None if exact else states[0])
            wrong = wrong or counted(found, states[number], told if before else Told())
            if not wrong:
                return
            tried.append(wrong)
    raise WrongStateError("; and ".join(tried))


def difference(found: State, wanted: State, known: State | None) -> str:
    """Tell how states differ, but for PIN counters, "" if they do not.

    They may be of two runs of the same that began with `known`.
    """
    if found.keys.keys() != wanted.keys.keys():
        return f"keys are {[*found.keys]}, not {[*wanted.keys]}"
    if found.snapshots.keys() != wanted.snapshots.keys():
        return f"snapshots are {[*found.snapshots]}, not {[*wanted.snapshots]}"
    said = []
    for name, left in found.keys.items():
        old = known and (known.keys.get(name) or NOTHING)
        said += _differences(name, left, wanted.keys[name], old, counters=False)
    for name, left in found.snapshots.items():
        old = known and (known.snapshots.get(name) or known.keys["key"])
        said += _differences(name, left, wanted.snapshots[name], old, counters=True)
    return ", ".join(said)


def _differences(
    name: str, left: KeyState, right: KeyState, known: KeyState | None, *, counters: bool
) -> Iterator[str]:
    one, other = (asdict_of(each, known, counters=counters) for each in (left, right))
    for part, value in one.items():
        # Private objects of a key that is locked nobody can read.
        if value != other[part] and not (part == "private" and None in (value, other[part])):
            yield f"{name}.{part}: {value!r:.120} is not {other[part]!r:.120}"


def counted(found: State, wanted: State, told: Told) -> str:
    """Tell what is wrong with PIN counters, "" if nothing is.

    A try may be lost, and is as long as nobody was told that the PIN was right; none is gained.
    """
    for name, key in found.keys.items():
        for role, (left, full) in key.pins.items():
            known = wanted.keys[name].pins[role][0]
            most = known
            if role.name in told.right:
                most = full
            elif role.name in told.compared:
                most = known - 1
            if not known - 1 <= left <= most:
                return f"{name}: {left} tries of {role.name} left, {known} were known ({told})"
    return ""

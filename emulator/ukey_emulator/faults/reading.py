"""Reading fault plans: members become a fault, or a refusal that says what there is."""

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from ukey_emulator.terms import CKM, CKR

from .fault import Fault, What, Where
from .words import STEPS, FunctionWords, Words, there_are

MEMBERS = (
    *("name", "key"),
    *(where.value for where in Where),
    *("mechanism", "at", "from", "to", "pid", "program", "chance", "seed"),
    *(what.value for what in What),
)
"""All that a fault may say."""

_ALIKE = (What.DELAY, What.HANG, What.MEMORY)
_WHAT_AT = {
    Where.FUNCTION: (
        *(What.RETURN, What.PULL, What.CORRUPT, What.DROP, What.LOGOUT),
        *_ALIKE,
    ),
    Where.APDU: (
        *(What.STATUS, What.PULL, What.CORRUPT, What.DROP, What.LOGOUT),
        *_ALIKE,
    ),
    Where.STORE: (What.RETURN, What.POWER, *_ALIKE),
}
_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
_STATUS = re.compile(r"(6[1-9A-F]|9[0-9A-F])[0-9A-F]{2}", re.IGNORECASE)
_INSTRUCTION = re.compile(r"[0-9A-F]{2}", re.IGNORECASE)
_VENDOR = re.compile(r"0x[89A-F][0-9A-F]{7}", re.IGNORECASE)
_NO_MEMORY = 0x6A84
_GREATEST = (1 << 53) - 1
_LONGEST = 3_600.0  # seconds
_MOST_TEXT = 255


class FaultError(Exception):
    """A plan that says what cannot be; the message says what there is.

    `member` is the one that is wrong, where it can be told; `code` one of the control port's.
    """

    def __init__(self, message: str, member: str | None = None, code: str = "bad_argument") -> None:
        super().__init__(message)
        self.member = member
        self.code = code


def read_plan(text: str, words: Words) -> list[Fault]:
    """Read a plan in TOML: one or more tables [[fault]]; faults without a name have an empty one.

    FaultError, which names the fault by its place in the plan.
    """
    try:
        plan = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise FaultError(f"the plan is no TOML: {error}") from None
    for member in plan:
        if member != "fault":
            raise FaultError(f"a plan has tables [[fault]] and nothing else, but not {member!r}")
    tables = plan.get("fault")
    if not isinstance(tables, list) or not tables or not all(isinstance(t, dict) for t in tables):
        raise FaultError("a plan has one or more tables [[fault]]")
    faults = []
    for number, members in enumerate(tables, 1):
        try:
            faults.append(read(members, words))
        except FaultError as error:
            raise FaultError(f"fault {number} of the plan: {error}", error.member) from None
    return faults


def read(members: Mapping[str, Any], words: Words) -> Fault:
    """Read one fault; members that are None are as if they were not there. FaultError."""
    told = {member: value for member, value in members.items() if value is not None}
    for member in told:
        if member not in MEMBERS:
            raise FaultError(f"a fault has no {member!r}; {there_are(member, MEMBERS, 99)}", member)
    where = Where(_only_one(told, [where.value for where in Where], "says where"))
    what = What(_only_one(told, [what.value for what in What], "says what happens"))
    place = _PLACES[where](told[where.value], words)
    if what not in _WHAT_AT[where]:
        allowed = ", ".join(each.value for each in _WHAT_AT[where])
        raise FaultError(
            f"{what.value} does not go with {where.value}, with which there go: {allowed}",
            what.value,
        )
    value = _VALUES[what](told[what.value])
    if what is What.MEMORY:
        what = What.STATUS if where is Where.APDU else What.RETURN
        value = _NO_MEMORY if where is Where.APDU else int(CKR.DEVICE_MEMORY)
    mechanism = _mechanism(told["mechanism"]) if "mechanism" in told else None
    if where is Where.FUNCTION:
        _check_function(words.functions[str(place)], told, what, value)
    elif mechanism is not None:
        raise FaultError("mechanism narrows a function, not " + where.value, "mechanism")
    elif where is Where.STORE:
        _check_step(str(place), told, what, value)
    first, last = _when(told)
    chance, seed = _noise(told)
    return Fault(
        name=_name(told.get("name", "")),
        where=where,
        place=place,
        what=what,
        value=value,
        key=_text(told, "key"),
        mechanism=mechanism,
        pid=_number(told, "pid") if "pid" in told else None,
        program=_text(told, "program"),
        first=first,
        last=last,
        chance=chance,
        seed=seed,
        members=told,
    )


def _only_one(told: Mapping[str, Any], members: list[str], says: str) -> str:
    found = [member for member in members if member in told]
    if len(found) != 1:
        but = f", not {' and '.join(found)} at once" if found else ", and there is none"
        raise FaultError(
            f"exactly one member {says}: {', '.join(members)}{but}", found[-1] if found else None
        )
    return found[0]


def _function(name: object, words: Words) -> str:
    known = words.functions.get(name) if isinstance(name, str) else None
    served = [each for each, about in words.functions.items() if not about.local]
    if known is None:
        raise FaultError(
            f"there is no function {name!r}; {there_are(str(name), served)}", "function"
        )
    if known.local:
        raise FaultError(f"{name} is answered inside the program: no fault meets it", "function")
    return str(name)


def _command(name: object, words: Words) -> int:
    if isinstance(name, str):
        if _INSTRUCTION.fullmatch(name):
            return int(name, 16)
        for known, instruction in words.commands.items():
            if known.casefold() == name.casefold():
                return instruction
    raise FaultError(
        f"there is no command {name!r}; {there_are(str(name), words.commands, 99)}; "
        'or two hexadecimal digits for its instruction byte: "87"',
        "apdu",
    )


def _step(name: object, _: Words) -> str:
    if not isinstance(name, str) or name not in STEPS:
        raise FaultError(f"the store has no step {name!r}; {there_are(str(name), STEPS)}", "store")
    return name


_PLACES: dict[Where, Callable[[object, Words], str | int]] = {
    Where.FUNCTION: _function,
    Where.APDU: _command,
    Where.STORE: _step,
}


def _check_function(
    about: FunctionWords, told: Mapping[str, Any], what: What, value: float | str
) -> None:
    """Refuse what a function cannot meet."""
    name = told[Where.FUNCTION.value]
    if not about.keyed:
        if "key" in told:
            raise FaultError(f"{name} concerns no single key", "key")
        if what in {What.PULL, What.LOGOUT}:
            raise FaultError(f"{name} concerns no single key: {what.value} has none", what.value)
    if "mechanism" in told and not about.mechanism:
        raise FaultError(f"{name} works with no mechanism", "mechanism")
    if not about.outputs and what is What.CORRUPT:
        raise FaultError(f"{name} has no output", what.value)
    if about.outputs and what is What.RETURN and value == CKR.OK:
        raise FaultError(f"{name} has outputs, which CKR_OK would promise", what.value)


def _check_step(step: str, told: Mapping[str, Any], what: What, value: float | str) -> None:
    """Refuse what cannot come of a step of the store."""
    if what is not What.RETURN:
        return
    member = "return" if "return" in told else "memory"
    if step == "committed":
        raise FaultError("committed is too late to fail: the change is in the file", member)
    if value == CKR.OK or value not in set(CKR):
        raise FaultError("the store fails with a return value of the standard, not OK", member)


def _when(told: Mapping[str, Any]) -> tuple[int, int | None]:
    """Give the first and the last meeting at which it happens; no last one, until cleared."""
    if "at" in told:
        for member in ("from", "to", "chance"):
            if member in told:
                raise FaultError(f"at says all about when: there is no {member} with it", member)
        only = _number(told, "at")
        return only, only
    first = _number(told, "from") if "from" in told else 1
    last = _number(told, "to") if "to" in told else None
    if last is not None and last < first:
        raise FaultError(f"to is not less than from, {first}, but it is {last}", "to")
    return first, last


def _noise(told: Mapping[str, Any]) -> tuple[float | None, int]:
    if "chance" not in told:
        if "seed" in told:
            raise FaultError("seed goes with a chance: chance = 0.1", "seed")
        return None, 0
    chance, seed = told["chance"], told.get("seed")
    if not _is_real(chance) or not 0 < chance <= 1:
        raise FaultError(f"chance is a number above 0, and at most 1, not {chance!r}", "chance")
    if type(seed) is not int or abs(seed) > _GREATEST:
        raise FaultError("chance needs a seed, a whole number: nothing is random", "seed")
    return float(chance), seed


def _number(told: Mapping[str, Any], member: str) -> int:
    value = told[member]
    if type(value) is not int or not 1 <= value <= _GREATEST:
        raise FaultError(f"{member} is a whole number from 1, not {value!r}", member)
    return value


def _text(told: Mapping[str, Any], member: str) -> str | None:
    value = told.get(member)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= _MOST_TEXT:
        raise FaultError(f"{member} is text of 1 to {_MOST_TEXT} characters", member)
    return value


def _name(name: object) -> str:
    if name and not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise FaultError(
            f"a fault cannot be called {name!r}: 1 to 64 letters, digits, . _ - only", "name"
        )
    return str(name)


def _mechanism(name: object) -> int:
    names = {f"CKM_{each}": int(number) for each, number in CKM.__members__.items()}
    if not isinstance(name, str) or name not in names:
        raise FaultError(
            f"there is no mechanism {name!r}; {there_are(str(name), names)}", "mechanism"
        )
    return names[name]


def _return(name: object) -> int:
    names = {f"CKR_{each}": int(number) for each, number in CKR.__members__.items()}
    if isinstance(name, str):
        if _VENDOR.fullmatch(name):
            return int(name, 16)
        if name in names:
            return names[name]
    raise FaultError(
        f"there is no return value {name!r}; {there_are(str(name), names)}; "
        'or a vendor\'s own: "0x80000001"',
        "return",
    )


def _status(word: object) -> int:
    if not isinstance(word, str) or not _STATUS.fullmatch(word):
        raise FaultError(
            "status is a status word: four hexadecimal digits from 6100 to 6FFF or 9000 to 9FFF, "
            f'"6F00" say, not {word!r}',
            "status",
        )
    return int(word, 16)


def _pull(when: object) -> str:
    if when not in ("before", "after"):
        raise FaultError(f'pull is "before" or "after" the work is done, not {when!r}', "pull")
    return str(when)


def _delay(seconds: object) -> float:
    if not _is_real(seconds) or not 0 < float(seconds) <= _LONGEST:  # type: ignore[arg-type]
        raise FaultError(f"delay is seconds, up to {_LONGEST:.0f}, not {seconds!r}", "delay")
    return float(seconds)  # type: ignore[arg-type]


def _power(power: object) -> str:
    if power != "off":
        raise FaultError(f'power is "off", not {power!r}', "power")
    return "off"


def _yes(member: str) -> Callable[[object], int]:
    def read_yes(value: object) -> int:
        if value is not True:
            raise FaultError(f"{member} is true, or not said", member)
        return 1

    return read_yes


def _is_real(value: object) -> bool:
    return type(value) in {int, float} and math.isfinite(value)  # type: ignore[arg-type]


_VALUES: dict[What, Callable[[object], int | float | str]] = {
    What.RETURN: _return,
    What.STATUS: _status,
    What.PULL: _pull,
    What.DELAY: _delay,
    What.POWER: _power,
    **{
        what: _yes(what.value)
        for what in (What.HANG, What.CORRUPT, What.DROP, What.LOGOUT, What.MEMORY)
    },
}

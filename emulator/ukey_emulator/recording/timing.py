"""How long a device took for what it did, as a profile's table of timings."""

from collections.abc import Iterable
from statistics import median
from typing import Any

from ukey_emulator.cryptoki.names import name_of
from ukey_emulator.cryptoki.wire import Attribute, Mechanism, Out
from ukey_emulator.terms import CKA, CKM

from .file import Call
from .lives import lives

_OK = 0
_INIT, _UPDATE, _FINAL = "Init", "Update", "Final"
_BITS = {CKA.MODULUS_BITS: 1, CKA.VALUE_LEN: 8, CKA.PRIME_BITS: 1}

SHORTEST = 0.0001
"""An emulated key takes about so many seconds itself."""

Timed = tuple[str, str | None, int | None]
"""A function, its mechanism and the bits of its key, where they are known."""


def timings(calls: Iterable[Call]) -> dict[Timed, float]:
    """Give the median of the seconds that successful calls took, by what they did.

    What an operation of many parts took is the time of the call that ended it; calls that only
    asked for a length, and those that began something, are not counted, and what takes less than
    SHORTEST is not told.
    """
    seconds: dict[Timed, list[float]] = {}
    for life in lives(calls):
        mechanisms: dict[tuple[int, str], str] = {}
        for call in life.calls:
            name = call.function.name
            if call.rv != _OK:
                continue
            mechanism = _mechanism(call.arguments)
            if name.endswith(_INIT) and name != "C_FindObjectsInit":
                if mechanism is not None:
                    mechanisms[call.arguments[0], name.removesuffix(_INIT)] = mechanism
                continue
            if _asks_length(call.arguments) or name.endswith(_UPDATE):
                continue
            if mechanism is None and call.function.arguments[0].kind == "SESSION":
                operation = name.removesuffix(_FINAL)
                mechanism = mechanisms.get((call.arguments[0], operation))
            timed = name, mechanism, _bits(call.arguments)
            seconds.setdefault(timed, []).append(call.us / 1e6)
    medians = {timed: median(each) for timed, each in sorted(seconds.items(), key=_order)}
    return {timed: each for timed, each in medians.items() if each >= SHORTEST}


def _order(entry: tuple[Timed, list[float]]) -> tuple[str, str, int]:
    (function, mechanism, bits), _ = entry
    return function, mechanism or "", bits or 0


def _asks_length(arguments: Iterable[Any]) -> bool:
    return any(isinstance(each, Out) and each.capacity is None for each in arguments)


def _mechanism(arguments: Iterable[Any]) -> str | None:
    for each in arguments:
        if isinstance(each, Mechanism):
            return name_of(CKM, each.type)
    return None


def _bits(arguments: Iterable[Any]) -> int | None:
    """Give the size of a key that is asked for by a number."""
    for template in arguments:
        for each in template if isinstance(template, list) else ():
            if isinstance(each, Attribute) and isinstance(each.value, bytes):
                unit = _BITS.get(CKA(each.type) if each.type in set(CKA) else CKA.CLASS)
                if unit:
                    return unit * int.from_bytes(each.value, "little")
    return None


def as_toml(table: dict[Timed, float]) -> str:
    """Write them as a profile has them: an entry of `timing` for each."""
    entries = []
    for (function, mechanism, bits), seconds in table.items():
        lines = ["[[timing]]", f'function = "{function}"']
        if mechanism is not None and mechanism.startswith("CKM_"):
            lines.append(f'mechanism = "{mechanism}"')
        if bits is not None:
            lines.append(f"bits = {bits}")
        lines.append(f"seconds = {seconds:.6f}")
        entries.append("\n".join(lines))
    return "\n\n".join(entries) + "\n" if entries else ""


def as_json(table: dict[Timed, float]) -> list[dict[str, Any]]:
    """Give them as JSON has them."""
    return [
        {"function": function, "mechanism": mechanism, "bits": bits, "seconds": seconds}
        for (function, mechanism, bits), seconds in table.items()
    ]

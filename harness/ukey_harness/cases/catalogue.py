"""All cases, by suite and in the order of their sections."""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from ukey_harness.cases.case import Case, Section
from ukey_harness.cases.oasis.cases import read_cases

PKCS11 = "pkcs11"
CARD = "card"
OASIS = "oasis"  # the suite whose cases are read from files

_SECTIONS = {
    PKCS11: (
        "general", "slots", "pins", "sessions", "objects", "attributes", "search", "encrypt",
        "decrypt", "digest", "sign", "verify", "dual", "random", "keys_made", "keys_wrapped",
        "keys_derived", "threads", "processes", "removal", "misc", "lockout", "limits",
        "version3", "version32", "known_ciphers", "known_signatures", "history", "apart", "claims",
    ),
    CARD: (
        "reader", "transport", "application", "pins", "administration", "signing", "extensions",
    ),
}  # fmt: skip


class UnknownCase(ValueError):  # noqa: N818 - says what it is
    """A case was asked for that there is not; the message lists what there is."""


def suites() -> list[str]:
    """Return the names of the suites."""
    return [*_SECTIONS, OASIS]


def sections(suite: str = PKCS11) -> list[Section]:
    """Return the sections of a suite, imported now."""
    found = []
    for name in _SECTIONS[suite]:
        module = import_module(f"ukey_harness.cases.{suite}.{name}")
        found += [each for each in vars(module).values() if isinstance(each, Section)]
    return found


def all_cases(suite: str = PKCS11, place: Path | None = None) -> dict[str, Case]:
    """Return the cases of a suite by their ids, in order.

    place: the file or folder of the suite oasis; OasisError when it holds no test cases.
    """
    if suite == OASIS:
        if place is None:
            raise ValueError("the suite oasis is read from a place")
        return read_cases(place)
    cases: dict[str, Case] = {}
    for section in sections(suite):
        for case in section:
            if case.id in cases:
                raise ValueError(f"{case.id} is declared in two sections")
            cases[case.id] = case
    return cases


def chosen(names: Iterable[str], suite: str = PKCS11, place: Path | None = None) -> list[Case]:
    """Return the cases with these ids or in these groups ("GP-01", "EN"); all if none is named."""
    wanted = shared_out(names, [suite], place)[suite]
    return [
        case
        for key, case in all_cases(suite, place).items()
        if not wanted or any(_named(name, key) for name in wanted)
    ]


def shared_out(
    names: Iterable[str], suites: Iterable[str], place: Path | None = None
) -> dict[str, list[str]]:
    """Return for each suite the names that are of it; without names, all suites with none.

    UnknownCase: a name is of no suite. A suite of which nothing is named is left out.
    """
    cases = {suite: all_cases(suite, place) for suite in suites}
    wanted = [name.upper() for name in names]
    for name in wanted:
        if not any(_named(name, each) for known in cases.values() for each in known):
            groups = dict.fromkeys(
                each.rpartition("-")[0] for known in cases.values() for each in known
            )
            raise UnknownCase(f"there is no case {name}; the groups are {', '.join(groups)}")
    shared = {
        suite: [name for name in wanted if any(_named(name, each) for each in known)]
        for suite, known in cases.items()
    }
    return {suite: mine for suite, mine in shared.items() if mine or not wanted}


def _named(name: str, key: str) -> bool:
    return key == name or key.startswith(f"{name}-")

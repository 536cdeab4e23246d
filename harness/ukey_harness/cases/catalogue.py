"""All cases, by suite and in the order of their sections."""

from collections.abc import Iterable
from importlib import import_module

from ukey_harness.cases.case import Case, Section

PKCS11 = "pkcs11"

_SECTIONS = {
    PKCS11: (
        "general", "slots", "pins", "sessions", "objects", "attributes", "search", "encrypt",
        "decrypt", "digest", "sign", "verify", "dual", "random", "keys_made", "keys_wrapped",
        "keys_derived", "threads", "processes", "removal", "misc", "lockout", "limits",
        "version3", "version32",
    )
}  # fmt: skip


class UnknownCase(ValueError):  # noqa: N818 - says what it is
    """A case was asked for that there is not; the message lists what there is."""


def suites() -> list[str]:
    """Return the names of the suites."""
    return list(_SECTIONS)


def sections(suite: str = PKCS11) -> list[Section]:
    """Return the sections of a suite, imported now."""
    found = []
    for name in _SECTIONS[suite]:
        module = import_module(f"ukey_harness.cases.{suite}.{name}")
        found += [each for each in vars(module).values() if isinstance(each, Section)]
    return found


def all_cases(suite: str = PKCS11) -> dict[str, Case]:
    """Return the cases of a suite by their ids, in order."""
    cases: dict[str, Case] = {}
    for section in sections(suite):
        for case in section:
            if case.id in cases:
                raise ValueError(f"{case.id} is declared in two sections")
            cases[case.id] = case
    return cases


def chosen(names: Iterable[str], suite: str = PKCS11) -> list[Case]:
    """Return the cases with these ids or in these groups ("GP-01", "EN"); all if none is named."""
    cases = all_cases(suite)
    wanted = [name.upper() for name in names]
    if not wanted:
        return list(cases.values())
    for name in wanted:
        if not any(_named(name, each) for each in cases):
            groups = ", ".join(dict.fromkeys(each.rpartition("-")[0] for each in cases))
            raise UnknownCase(f"there is no case {name}; the groups are {groups}")
    return [case for key, case in cases.items() if any(_named(name, key) for name in wanted)]


def _named(name: str, key: str) -> bool:
    return key == name or key.startswith(f"{name}-")

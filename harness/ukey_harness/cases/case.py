"""What a case is, and where cases are written down.

A section of a standard is one file: it makes a Section and declares its cases with its decorator.
An id never moves to another demand, and is never given out again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from ukey_harness.cases.expectation import Expectation

TIME_LIMIT = 15.0  # seconds; a case that takes longer hangs

Seen: TypeAlias = "str | int | bool | tuple[str | int | bool, ...]"
# Each suite has a stand of its own kind: a module's makes calls, a card's sends APDUs.
Function: TypeAlias = "Callable[[Any], Seen]"
Need: TypeAlias = "Callable[[Any], str]"


class Changes(StrEnum):
    """What a case leaves changed. PIN: it spends a try; TOKEN: PINs, label or all objects.

    OBJECTS: it has objects of its own made beforehand, where it may; where it may not, it looks for
    such as are there, and changes nothing.
    """

    NOTHING = "nothing"
    OBJECTS = "objects"
    PIN = "pin"
    TOKEN = "token"  # noqa: S105 - no secret


class NotApplicable(Exception):  # noqa: N818 - a verdict's name, not an error's
    """The device lacks what the case needs; the sentence says what, and how that is known."""


class Unprepared(Exception):  # noqa: N818 - no error of ours: the device refused
    """A call that the case needs before it can begin did not succeed."""


@dataclass(frozen=True)
class Case:
    """One demand of the standard and how it is tried.

    rule: the demand in one sentence. locks: the case spends every try of a PIN, so that it is
    never put to a key that cannot be made anew. needs: each returns why the device cannot be asked,
    "" when it can. file: what the case was read from, "" for one that is written in Python.
    """

    id: str
    clause: str
    rule: str
    expectation: Expectation
    changes: Changes
    needs: tuple[Need, ...]
    locks: bool
    limit: float
    function: Function
    section: str
    file: str = ""

    @property
    def suite(self) -> str:
        """The suite that it is of: the folder in which it is written down."""
        return self.function.__module__.split(".")[-2]

    @property
    def place(self) -> tuple[str, int]:
        """The file, below this package unless it was read, and the line where the case stands."""
        if self.file:
            return self.file, 1
        code = self.function.__code__
        return code.co_filename.rsplit("/cases/", 1)[-1], code.co_firstlineno


@dataclass
class Section:
    """A section of the standard, with its cases in the order of their ids.

    sign: what stands between the standard's name and a clause.
    """

    standard: str
    title: str
    sign: str = "§"
    cases: dict[str, Case] = field(default_factory=dict)

    def case(
        self,
        number: str,
        clause: str,
        rule: str,
        expect: str,
        *,
        allow: tuple[str, ...] = (),
        changes: Changes = Changes.NOTHING,
        needs: tuple[Need, ...] = (),
        locks: bool = False,
        limit: float = TIME_LIMIT,
    ) -> Callable[[Function], Function]:
        """Declare a case; the function that is decorated returns what it has seen.

        expect and allow are sequences as Expectation reads them: the answer that the standard
        names, and others that it allows.
        """

        def declare(function: Function) -> Function:
            if number in self.cases:
                raise ValueError(f"{number} is declared twice")
            self.cases[number] = Case(
                id=number,
                clause=f"{self.standard} {self.sign}{clause}",
                rule=rule,
                expectation=Expectation.read(expect, *allow),
                changes=changes,
                needs=needs,
                locks=locks,
                limit=limit,
                function=function,
                section=self.title,
            )
            return function

        return declare

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases.values())


def facts(seen: Seen) -> tuple[str, ...]:
    """Return what a case has seen as texts: truth values as yes and no, numbers in decimal."""
    items = seen if isinstance(seen, tuple) else (seen,)
    return tuple(_text(each) for each in items)


def _text(item: str | int | bool) -> str:  # noqa: FBT001 - a truth value is one of the facts
    if isinstance(item, bool):
        return "yes" if item else "no"
    return str(item)

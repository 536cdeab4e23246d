"""How steps are defined: once, for pytest-bdd and for the demo alike.

A step function takes the stage and what its pattern catches. `needs` names what the device must be
able to do for the step to make sense; a scenario needs what its steps and its tags need.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from pytest_bdd import given as bdd_given
from pytest_bdd import parsers
from pytest_bdd import then as bdd_then
from pytest_bdd import when as bdd_when

Kind = Literal["given", "when", "then"]
StepFunction = Callable[..., None]

_BDD = {"given": bdd_given, "when": bdd_when, "then": bdd_then}


@dataclass(frozen=True)
class Definition:
    """A step definition: what it matches, what it does, what it needs of the device."""

    kind: Kind
    parser: parsers.StepParser
    function: StepFunction
    needs: frozenset[str]


DEFINITIONS: list[Definition] = []


def given(pattern: str, *, needs: Iterable[str] = ()) -> Callable[[StepFunction], StepFunction]:
    """Define a 假如 step; `{name}` in the pattern catches an argument."""
    return _define("given", pattern, needs)


def when(pattern: str, *, needs: Iterable[str] = ()) -> Callable[[StepFunction], StepFunction]:
    """Define a 当 step."""
    return _define("when", pattern, needs)


def then(pattern: str, *, needs: Iterable[str] = ()) -> Callable[[StepFunction], StepFunction]:
    """Define a 那么 step."""
    return _define("then", pattern, needs)


def find(kind: str, text: str) -> Definition | None:
    """Return the definition that a step's words match, None when there is none."""
    for definition in DEFINITIONS:
        if definition.kind == kind and definition.parser.is_matching(text):
            return definition
    return None


def needs_of_steps(steps: Iterable[tuple[str, str]]) -> set[str]:
    """Return what the steps (kind, text) need of the device."""
    found = (find(kind, text) for kind, text in steps)
    return {need for definition in found if definition is not None for need in definition.needs}


def _define(
    kind: Kind, pattern: str, needs: Iterable[str]
) -> Callable[[StepFunction], StepFunction]:
    parser = parsers.parse(pattern)

    def decorate(function: StepFunction) -> StepFunction:
        DEFINITIONS.append(Definition(kind, parser, function, frozenset(needs)))
        # 2: the frame of the module whose step this is; pytest looks for step fixtures there.
        _BDD[kind](parser, stacklevel=2)(function)
        return function

    return decorate

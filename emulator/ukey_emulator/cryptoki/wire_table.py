"""Reads functions.def and parameters.def, the tables that the C module is compiled from."""

import re
from pathlib import Path
from typing import NamedTuple

OUTPUTS = frozenset(
    {
        "DATA_OUT",
        "FILL",
        "ULONG_OUT",
        "LIST_OUT",
        "FOUND_OUT",
        "SLOT_INFO",
        "TOKEN_INFO",
        "SESSION_INFO",
        "MECHANISM_INFO",
        "QUERY",
        "SEAL_PARAMETER",
        "WRAP_MECHANISM",
        "SEAL_MECHANISM",
    }
)
"""The words of functions.def that have a result."""


class Argument(NamedTuple):
    """One argument on the wire: its word in functions.def and its name there."""

    kind: str
    name: str


class Function(NamedTuple):
    """One function of PKCS#11: `since` is the list that it first stands in (240, 300 or 320).

    A `local` function is answered inside the module and never reaches the rack, but for
    C_Finalize, which is told to it.
    """

    number: int
    name: str
    since: int
    arguments: tuple[Argument, ...]
    local: bool

    @property
    def outputs(self) -> tuple[Argument, ...]:
        """The arguments that have a result, in order."""
        return tuple(argument for argument in self.arguments if argument.kind in OUTPUTS)


class Layout(NamedTuple):
    """A struct that holds pointers: `size` in bytes, members as parameters.def has them."""

    name: str
    size: int
    members: tuple[Argument, ...]


_ENTRY = r"^%s\((.*)\)$"
_MEMBER = re.compile(r"([A-Z0-9_]+)\((?:[^(),]*, )?(\w+)\)")


def _entries(table: str, word: str) -> list[list[str]]:
    """Read the lines of a table beside this file that begin with `word`, cut at the commas."""
    text = (Path(__file__).parent / table).read_text(encoding="utf-8")
    return [inner.split(", ") for inner in re.findall(_ENTRY % word, text, re.MULTILINE)]


def _members(pieces: list[str]) -> tuple[Argument, ...]:
    return tuple(Argument(*member) for member in _MEMBER.findall(", ".join(pieces)))


def _functions(word: str) -> list[Function]:
    functions = []
    for number, since, name, *arguments in _entries("functions.def", word):
        sent = tuple(a for a in _members(arguments) if a.kind not in {"AS", "UNSENT"})
        functions.append(Function(int(number), name, int(since), sent, word == "LOCAL"))
    return functions


def _layouts(word: str) -> list[Layout]:
    return [
        Layout(name, int(size), _members(members))
        for name, size, *members in _entries("parameters.def", word)
    ]


FUNCTIONS: dict[int, Function] = {
    function.number: function for function in sorted(_functions("FUNCTION") + _functions("LOCAL"))
}
"""Every function of PKCS#11 3.2 by its number."""

LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in _layouts("LAYOUT")}
"""The structs with pointers that mechanisms have as parameter, by name."""

MESSAGES: dict[int, Layout] = {layout.size: layout for layout in _layouts("MESSAGE")}
"""The parameters of the message functions, by size."""

PARAMETERS: dict[tuple[int, int], Layout] = {
    (int(mechanism, 16), LAYOUTS[layout].size): LAYOUTS[layout]
    for mechanism, _, layout in _entries("parameters.def", "PARAMETER")
}
"""The layout of a mechanism's parameter, by mechanism and size."""

SEALED: dict[tuple[int, int], Layout] = {
    (int(mechanism, 16), layout.size): layout
    for mechanism, _, name in _entries("parameters.def", "SEALED")
    for layout in MESSAGES.values()
    if layout.name == name
}
"""The layout of a mechanism's parameter in authenticated wrapping, by mechanism and size."""

TEMPLATE_ATTRIBUTES: frozenset[int] = frozenset(
    int(attribute, 16) for attribute, _ in _entries("parameters.def", "TEMPLATE_ATTRIBUTE")
)
"""The attributes whose value is a template."""

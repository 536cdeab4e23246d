"""A profile as TOML, of which the standard library reads, but does not write."""

import json
from collections.abc import Iterable, Mapping
from typing import Any


def as_toml(members: Mapping[str, Any], remarks: Iterable[str] = ()) -> str:
    """Write the members of a profile, with remarks as comments before them."""
    lines = [f"# {remark}" for remark in remarks]
    tables = {name: value for name, value in members.items() if isinstance(value, dict)}
    arrays = {name: value for name, value in members.items() if _is_array_of_tables(value)}
    lines += [
        f"{_key(name)} = {_value(value)}"
        for name, value in members.items()
        if name not in tables and name not in arrays
    ]
    for name, table in tables.items():
        lines += ["", f"[{_key(name)}]"]
        lines += [f"{_key(each)} = {_value(value)}" for each, value in table.items()]
    for name, entries in arrays.items():
        for entry in entries:
            lines += ["", f"[[{_key(name)}]]"]
            lines += [f"{_key(each)} = {_value(value)}" for each, value in entry.items()]
    return "\n".join(lines) + "\n"


def _is_array_of_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else _text(name)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _text(value)
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            inner = ", ".join(f"{_key(name)} = {_value(each)}" for name, each in value.items())
            return f"{{ {inner} }}" if inner else "{}"
    raise TypeError(type(value).__name__)


def _text(text: str) -> str:
    """Write a basic string, whose escapes are JSON's but for DEL (TOML 1.0, String)."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

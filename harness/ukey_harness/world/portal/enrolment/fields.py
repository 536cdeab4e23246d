"""The fields and figures of 人员参保登记, read from `fields.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any


class FieldsError(ValueError):
    """`fields.toml` does not say what it must; the message names the place."""


class Kind(StrEnum):
    """What a field holds, and so how it is checked and shown."""

    TEXT = "text"
    ID_NUMBER = "id_number"
    DATE = "date"
    CHOICE = "choice"
    MONEY = "money"
    PHONE = "phone"
    POSTCODE = "postcode"


@dataclass(frozen=True)
class Field:
    """One field: its code in the ministry's index, its words on screen, its form."""

    code: str
    label: str
    group: str
    kind: Kind
    required: bool
    hint: str = ""
    longest: int = 30
    roster: int = 0
    short: str = ""
    choices: tuple[tuple[str, str], ...] = ()

    @property
    def heading(self) -> str:
        """The words above the field's column in the roster."""
        return self.short or self.label

    def shown(self, value: str) -> str:
        """Return a stored value as it is read: a choice by its words, money with two places."""
        if self.kind is Kind.CHOICE:
            return dict(self.choices).get(value, value)
        if self.kind is Kind.MONEY and value:
            return f"{Decimal(value):,.2f}"
        return value


@dataclass(frozen=True)
class Enrolment:
    """The whole of `fields.toml`; wages in yuan a month."""

    fields: tuple[Field, ...]
    average_wage: Decimal
    floor_percent: int
    ceiling_percent: int
    minimum_age: int
    months_back: int
    farmer_status: str
    farmer_rate: str
    title: str
    officer: str
    head: str
    date: str
    phone: str

    @property
    def wage_floor(self) -> Decimal:
        """The lowest wage that may be declared."""
        return _percent(self.average_wage, self.floor_percent)

    @property
    def wage_ceiling(self) -> Decimal:
        """The highest wage that may be declared."""
        return _percent(self.average_wage, self.ceiling_percent)

    def field(self, code: str) -> Field:
        """Return the field with this code; raises KeyError."""
        for field in self.fields:
            if field.code == code:
                return field
        raise KeyError(code)

    def groups(self) -> list[tuple[str, list[Field]]]:
        """Return the fields by group, in the order of the screen."""
        groups: dict[str, list[Field]] = {}
        for field in self.fields:
            groups.setdefault(field.group, []).append(field)
        return list(groups.items())

    def columns(self) -> list[Field]:
        """Return the fields that are columns of the roster, in order."""
        return [field for field in self.fields if field.roster]


_NEEDED = frozenset({"AAC002", "AAC003", "AAC004", "AAC006", "AAC007", "AAC030", "AAC040"})
"""The checks look at these by name."""


@cache
def enrolment() -> Enrolment:
    """Return the fields and figures as shipped."""
    text = resources.files(__package__).joinpath("fields.toml").read_text(encoding="utf-8")
    return parse(text)


def parse(text: str) -> Enrolment:
    """Read the text of a `fields.toml`; raises FieldsError where something is wrong or missing."""
    try:
        told = tomllib.loads(text)
        limits, roster = told["limits"], told["roster"]
        average = Decimal(limits["average_wage"])
        fields = tuple(_field(entry) for entry in told["field"])
        read = Enrolment(
            fields=fields,
            average_wage=average,
            floor_percent=int(limits["wage_floor_percent"]),
            ceiling_percent=int(limits["wage_ceiling_percent"]),
            minimum_age=int(limits["minimum_age"]),
            months_back=int(limits["months_back"]),
            farmer_status=str(told["farmer"]["status"]),
            farmer_rate=str(told["farmer"]["rate"]),
            title=str(roster["title"]),
            officer=str(roster["officer"]),
            head=str(roster["head"]),
            date=str(roster["date"]),
            phone=str(roster["phone"]),
        )
    except tomllib.TOMLDecodeError as error:
        raise FieldsError(f"fields.toml is not TOML: {error}") from error
    except KeyError as error:
        raise FieldsError(f"fields.toml lacks {error}") from error
    except InvalidOperation as error:
        raise FieldsError("fields.toml: average_wage is not a number") from error
    codes = [field.code for field in read.fields]
    if len(set(codes)) != len(codes):
        raise FieldsError("fields.toml has a code twice")
    if missing := _NEEDED - set(codes):
        raise FieldsError(f"fields.toml lacks the fields {', '.join(sorted(missing))}")
    return read


def _percent(average: Decimal, percent: int) -> Decimal:
    return (average * percent / 100).quantize(Decimal("0.01"))


def _field(entry: dict[str, Any]) -> Field:
    code = entry["code"]
    try:
        kind = Kind(entry["kind"])
    except ValueError as error:
        raise FieldsError(f"fields.toml, {code}: no such kind: {entry['kind']}") from error
    choices = tuple((str(value), str(words)) for value, words in entry.get("choices", ()))
    if bool(choices) != (kind is Kind.CHOICE):
        raise FieldsError(f"fields.toml, {code}: choices go with the kind choice, and only with it")
    known = {key: value for key, value in entry.items() if key not in {"kind", "choices"}}
    try:
        return Field(kind=kind, choices=choices, **known)
    except TypeError as error:
        raise FieldsError(f"fields.toml, {code}: {error}") from error

"""本月业务提交: the persons that a unit has entered, checked and submitted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from ukey_harness.world.portal.refusals import PortalRefusal
from ukey_harness.world.portal.settings import CHINA, PortalSettings
from ukey_harness.world.portal.store import Store

from .checks import Faults, check_person, in_order, normalise
from .fields import Enrolment

_ENROLLED_HERE = "该人员已由本单位录入或提交，不能重复参保登记。"
_ENROLLED = "该人员已参保，不能重复登记。如需恢复缴费，请办理人员参保恢复。"


class PersonState(StrEnum):
    """How far a person's enrolment has come."""

    ENTERED = "entered"
    SUBMITTED = "submitted"
    ENROLLED = "enrolled"
    """Stands on a roster that was sealed and taken back."""


@dataclass(frozen=True)
class Person:
    """A person as the unit entered them; values by field code."""

    id: int
    values: dict[str, str]
    state: PersonState
    roster: str | None


class FieldsRefused(PortalRefusal):
    """What was entered is wrong: the faults by field, and the values to keep on the screen."""

    def __init__(self, values: dict[str, str], faults: Faults) -> None:
        super().__init__("fields_invalid", fields=faults)
        self.values = values
        self.faults = faults


class Persons:
    """The persons of all units; every call names the unit whose persons it may see."""

    def __init__(self, settings: PortalSettings, store: Store, rules: Enrolment) -> None:
        self._settings = settings
        self._store = store
        self._rules = rules

    def today(self) -> date:
        """Return the day in China by the world's clock."""
        return self._settings.clock.now().astimezone(CHINA).date()

    def enter(self, unit: str, told: Mapping[str, str], person_id: int | None = None) -> int:
        """Check and keep a person, new or (with person_id) in place of an entered one.

        Returns the person's id. Raises FieldsRefused, not_found, person_not_editable.
        """
        values = normalise(told, self._rules)
        faults = check_person(values, self._rules, self.today())
        with self._store.transaction() as db:
            if person_id is not None:
                _require_entered(db, unit, person_id)
            if "AAC002" not in faults:
                faults |= _enrolled_fault(db, unit, values["AAC002"], person_id)
            if faults:
                raise FieldsRefused(values, in_order(faults, self._rules))
            stored = json.dumps(values, ensure_ascii=False)
            if person_id is not None:
                db.execute(
                    "UPDATE persons SET id_number = ?, field_values = ? WHERE id = ?",
                    (values["AAC002"], stored, person_id),
                )
                return person_id
            added = db.execute(
                "INSERT INTO persons (unit, id_number, state, field_values, entered)"
                " VALUES (?, ?, ?, ?, ?) RETURNING id",
                (unit, values["AAC002"], PersonState.ENTERED, stored, self._now()),
            ).fetchone()
            return int(added["id"])

    def find(self, unit: str, person_id: int) -> Person:
        """Return an entered person of the unit; raises not_found, person_not_editable."""
        with self._store.transaction() as db:
            return _person(_require_entered(db, unit, person_id))

    def remove(self, unit: str, person_id: int) -> None:
        """Remove an entered person of the unit; raises not_found, person_not_editable."""
        with self._store.transaction() as db:
            _require_entered(db, unit, person_id)
            db.execute("DELETE FROM persons WHERE id = ?", (person_id,))

    def listed(self, unit: str, state: PersonState) -> list[Person]:
        """Return the unit's persons in a state, in the order of entering."""
        with self._store.transaction() as db:
            rows = db.execute(
                "SELECT * FROM persons WHERE unit = ? AND state = ? ORDER BY id", (unit, state)
            ).fetchall()
        return [_person(row) for row in rows]

    def check(self, unit: str) -> dict[int, Faults]:
        """Check the entered persons anew (the month may have changed); faults by person."""
        with self._store.transaction() as db:
            return self._check(db, unit)

    def submit(self, unit: str) -> int:
        """Submit all entered persons of the unit; returns how many.

        Raises nothing_entered, or fields_invalid (with the faulty persons) and submits none.
        """
        with self._store.transaction() as db:
            faulty = self._check(db, unit)
            if faulty:
                raise PortalRefusal(
                    "fields_invalid",
                    f"有 {len(faulty)} 人的信息未通过校验，全部未提交。请改正后再提交。",
                    persons={str(person): faults for person, faults in faulty.items()},
                )
            done = db.execute(
                "UPDATE persons SET state = ? WHERE unit = ? AND state = ?",
                (PersonState.SUBMITTED, unit, PersonState.ENTERED),
            )
            if done.rowcount == 0:
                raise PortalRefusal("nothing_entered")
            return done.rowcount

    def _check(self, db: sqlite3.Connection, unit: str) -> dict[int, Faults]:
        faulty = {}
        for row in db.execute(
            "SELECT * FROM persons WHERE unit = ? AND state = ? ORDER BY id",
            (unit, PersonState.ENTERED),
        ).fetchall():
            person = _person(row)
            faults = check_person(person.values, self._rules, self.today())
            faults |= _enrolled_fault(db, unit, person.values["AAC002"], person.id)
            if faults:
                faulty[person.id] = faults
        return faulty

    def _now(self) -> int:
        return int(self._settings.clock.now().timestamp())


def _enrolled_fault(
    db: sqlite3.Connection, unit: str, id_number: str, person_id: int | None
) -> Faults:
    """Whether the ID number is already there, by this unit or (submitted) by any other."""
    for row in db.execute(
        "SELECT id, unit, state FROM persons WHERE id_number = ?", (id_number,)
    ).fetchall():
        if row["id"] == person_id:
            continue
        if row["unit"] == unit:
            return {"AAC002": _ENROLLED_HERE}
        if row["state"] != PersonState.ENTERED:
            return {"AAC002": _ENROLLED}
    return {}


def _require_entered(db: sqlite3.Connection, unit: str, person_id: int) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM persons WHERE id = ? AND unit = ?", (person_id, unit)
    ).fetchone()
    if row is None:
        raise PortalRefusal("not_found", "找不到该人员。")
    if row["state"] != PersonState.ENTERED:
        raise PortalRefusal("person_not_editable")
    return row


def _person(row: sqlite3.Row) -> Person:
    return Person(
        row["id"], json.loads(row["field_values"]), PersonState(row["state"]), row["roster"]
    )

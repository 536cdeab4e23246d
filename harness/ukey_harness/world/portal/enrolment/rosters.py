"""打印报表 and 上报材料: the rosters that were produced, and the sealed ones taken back."""

from __future__ import annotations

import hashlib
import logging
import secrets
import sqlite3
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from ukey_harness.world.portal.refusals import PortalRefusal
from ukey_harness.world.portal.settings import CHINA, PortalSettings
from ukey_harness.world.portal.store import Store
from ukey_harness.world.units import Unit

from .fields import Enrolment
from .handin import HandIn
from .persons import Persons, PersonState
from .roster import Draft, draw_roster

_log = logging.getLogger(__name__)

_COLUMNS = "id, unit, title, month, batch, persons, state, created, sha256, sealed_at, sealed_by"


class RosterState(StrEnum):
    """How far a roster has come."""

    PRODUCED = "produced"
    SEALED = "sealed"


@dataclass(frozen=True)
class Roster:
    """A roster without its bytes; times are UTC, sha256 is of the unsealed PDF (hex)."""

    id: str
    title: str
    month: str
    batch: int
    persons: int
    state: RosterState
    created: datetime
    sha256: str
    sealed_at: datetime | None
    sealed_by: str | None


class Rosters:
    """The rosters of all units; every call names the unit whose rosters it may see."""

    def __init__(
        self,
        settings: PortalSettings,
        store: Store,
        rules: Enrolment,
        persons: Persons,
        hand_in: HandIn,
    ) -> None:
        self._settings = settings
        self._store = store
        self._rules = rules
        self._persons = persons
        self._hand_in = hand_in
        self._producing = threading.Lock()

    def waiting(self, unit: str) -> int:
        """Return how many submitted persons stand on no roster yet."""
        listed = self._persons.listed(unit, PersonState.SUBMITTED)
        return sum(person.roster is None for person in listed)

    def produce(self, unit: Unit) -> Roster:
        """Produce the roster of all submitted persons that stand on none.

        Raises nothing_submitted.
        """
        with self._producing:
            draft = self._draft(unit)
            pdf = draw_roster(draft, self._rules, self._settings.site)
            title = f"{self._rules.title}（{draft.month} 第 {draft.batch} 批）"
            with self._store.transaction() as db:
                db.execute(
                    "INSERT INTO rosters (id, unit, title, month, batch, persons, state, created,"
                    " pdf, sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        draft.id,
                        unit.identifier,
                        title,
                        draft.month,
                        draft.batch,
                        len(draft.persons),
                        RosterState.PRODUCED,
                        int(draft.created.timestamp()),
                        pdf,
                        hashlib.sha256(pdf).hexdigest(),
                    ),
                )
                db.executemany(
                    "UPDATE persons SET roster = ? WHERE id = ?",
                    [(draft.id, person.id) for person in draft.persons],
                )
        _log.info(
            "roster %s produced: %d persons, %d bytes", draft.id, len(draft.persons), len(pdf)
        )
        return self.find(unit.identifier, draft.id)

    def listed(self, unit: str) -> list[Roster]:
        """Return the unit's rosters, the newest first."""
        with self._store.transaction() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM rosters WHERE unit = ? ORDER BY created DESC, batch DESC",  # noqa: S608
                (unit,),
            ).fetchall()
        return [_roster(row) for row in rows]

    def find(self, unit: str, roster_id: str) -> Roster:
        """Return a roster of the unit; raises not_found, also for another unit's."""
        with self._store.transaction() as db:
            row = db.execute(
                f"SELECT {_COLUMNS} FROM rosters WHERE unit = ? AND id = ?",  # noqa: S608
                (unit, roster_id),
            ).fetchone()
        if row is None:
            raise PortalRefusal("not_found", "找不到这份名册。")
        return _roster(row)

    def pdf(self, unit: str, roster_id: str) -> bytes:
        """Return the roster as produced, unsealed; raises not_found."""
        return self._bytes(unit, roster_id, "pdf") or b""

    def sealed_pdf(self, unit: str, roster_id: str) -> bytes:
        """Return the sealed roster as it was taken back; raises not_found, sealed_absent."""
        sealed = self._bytes(unit, roster_id, "sealed")
        if sealed is None:
            raise PortalRefusal("sealed_absent")
        return sealed

    def take_back(self, unit: str, roster_id: str, sealed: bytes) -> Roster:
        """Verify a sealed roster and keep it; its persons are enrolled from now on.

        Raises not_found, already_sealed, and what `HandIn.require` raises; keeps nothing then.
        """
        if self.find(unit, roster_id).state is RosterState.SEALED:
            raise PortalRefusal("already_sealed")
        signer = self._hand_in.require(sealed, self.pdf(unit, roster_id), unit)
        now = int(self._settings.clock.now().timestamp())
        with self._store.transaction() as db:
            kept = db.execute(
                "UPDATE rosters SET state = ?, sealed = ?, sealed_at = ?, sealed_by = ?"
                " WHERE id = ? AND state = ?",
                (RosterState.SEALED, sealed, now, signer, roster_id, RosterState.PRODUCED),
            )
            if kept.rowcount != 1:
                raise PortalRefusal("already_sealed")
            db.execute(
                "UPDATE persons SET state = ? WHERE roster = ?", (PersonState.ENROLLED, roster_id)
            )
        _log.info("roster %s taken back sealed: %d bytes", roster_id, len(sealed))
        return self.find(unit, roster_id)

    def withdraw(self, unit: str, roster_id: str) -> None:
        """Throw away a roster that is not sealed; its persons may be corrected again.

        Raises not_found, already_sealed.
        """
        self.find(unit, roster_id)
        with self._store.transaction() as db:
            state = db.execute("SELECT state FROM rosters WHERE id = ?", (roster_id,)).fetchone()
            if state is None:
                raise PortalRefusal("not_found", "找不到这份名册。")
            if state["state"] != RosterState.PRODUCED:
                raise PortalRefusal("already_sealed", "这份名册已经签章上报，不能撤回。")
            db.execute(
                "UPDATE persons SET state = ?, roster = NULL WHERE roster = ?",
                (PersonState.ENTERED, roster_id),
            )
            db.execute("DELETE FROM rosters WHERE id = ?", (roster_id,))
        _log.info("roster %s withdrawn", roster_id)

    def _draft(self, unit: Unit) -> Draft:
        waiting = [
            person
            for person in self._persons.listed(unit.identifier, PersonState.SUBMITTED)
            if person.roster is None
        ]
        if not waiting:
            raise PortalRefusal("nothing_submitted")
        now = self._settings.clock.now()
        month = f"{now.astimezone(CHINA):%Y-%m}"
        with self._store.transaction() as db:
            last = db.execute(
                "SELECT max(batch) AS batch FROM rosters WHERE unit = ? AND month = ?",
                (unit.identifier, month),
            ).fetchone()
        roster_id = f"{month.replace('-', '')}-{secrets.token_hex(6)}"
        return Draft(roster_id, unit, month, (last["batch"] or 0) + 1, waiting, now)

    def _bytes(self, unit: str, roster_id: str, column: str) -> bytes | None:
        with self._store.transaction() as db:
            row = db.execute(
                f"SELECT {column} AS content FROM rosters WHERE unit = ? AND id = ?",  # noqa: S608
                (unit, roster_id),
            ).fetchone()
        if row is None:
            raise PortalRefusal("not_found", "找不到这份名册。")
        return None if row["content"] is None else bytes(row["content"])


def _roster(row: sqlite3.Row) -> Roster:
    sealed_at = row["sealed_at"]
    return Roster(
        id=row["id"],
        title=row["title"],
        month=row["month"],
        batch=row["batch"],
        persons=row["persons"],
        state=RosterState(row["state"]),
        created=datetime.fromtimestamp(row["created"], UTC),
        sha256=row["sha256"],
        sealed_at=None if sealed_at is None else datetime.fromtimestamp(sealed_at, UTC),
        sealed_by=row["sealed_by"],
    )

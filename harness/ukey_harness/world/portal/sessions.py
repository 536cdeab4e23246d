"""Sessions: who is logged in, how far, and until when; and the ticket that opens a browser.

A session is a random id in a cookie; the portal keeps its digest. Each change of privilege
gives a new id, so that an id known before the login is worth nothing after it.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .refusals import PortalRefusal
from .settings import PortalSettings
from .store import Store

_ID_BYTES = 32


class SessionState(StrEnum):
    """How far a session has come."""

    NONE = "none"
    """Nobody: carries only the page token of the login forms."""
    BIND = "bind"
    """The certificate was accepted; its unit is not bound to an account yet."""
    OK = "ok"
    """Logged in."""


@dataclass(frozen=True)
class Session:
    """A session as a handler sees it; `unit` is the identifier inside the certificate."""

    state: SessionState
    unit: str
    unit_name: str
    csrf: str
    digest: str


@dataclass(frozen=True)
class Opened:
    """A session just begun, with the id for its cookie: shown this once, never kept."""

    id: str
    session: Session


class Sessions:
    """The sessions of the portal."""

    def __init__(self, settings: PortalSettings, store: Store) -> None:
        self._settings = settings
        self._store = store

    def begin(
        self,
        state: SessionState,
        *,
        unit: str = "",
        unit_name: str = "",
        until: datetime | None = None,
        instead_of: Session | None = None,
    ) -> Opened:
        """Begin a session, ending the one it takes the place of.

        until: the session ends at the latest then (the certificate's end).
        """
        now = self._now()
        ends = now + int(self._settings.limits.session_whole.total_seconds())
        if until is not None:
            ends = min(ends, int(until.timestamp()))
        with self._store.transaction() as db:
            db.execute("DELETE FROM sessions WHERE ends <= ?", (now,))
            if instead_of is not None:
                _delete(db, instead_of.digest)
            return self._insert(db, state, unit, unit_name, ends)

    def raise_to_ok(self, session: Session) -> Opened:
        """Turn a session in state bind into a logged-in one, under a new id and the same end."""
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT ends FROM sessions WHERE digest = ? AND state = ?",
                (session.digest, SessionState.BIND),
            ).fetchone()
            if row is None:
                raise PortalRefusal("not_in_bind_state")
            _delete(db, session.digest)
            return self._insert(db, SessionState.OK, session.unit, session.unit_name, row["ends"])

    def find(self, session_id: str) -> Session | None:
        """Return the session of a cookie, and count it as seen now; None if there is none.

        A session left alone too long, or past its end, is ended here.
        """
        digest = _digest(session_id)
        now = self._now()
        idle = int(self._settings.limits.session_idle.total_seconds())
        with self._store.transaction() as db:
            row = db.execute("SELECT * FROM sessions WHERE digest = ?", (digest,)).fetchone()
            if row is None:
                return None
            if now >= row["ends"] or now - row["seen"] >= idle:
                _delete(db, digest)
                return None
            if now > row["seen"]:
                db.execute("UPDATE sessions SET seen = ? WHERE digest = ?", (now, digest))
        return Session(
            SessionState(row["state"]), row["unit"], row["unit_name"], row["csrf"], digest
        )

    def end(self, session: Session) -> None:
        """Log out: the id is worth nothing from now on."""
        with self._store.transaction() as db:
            _delete(db, session.digest)

    def ticket(self, session: Session) -> str:
        """Make a ticket with which a browser takes up this login, once and soon."""
        ticket = secrets.token_urlsafe(_ID_BYTES)
        expires = self._now() + int(self._settings.limits.ticket.total_seconds())
        with self._store.transaction() as db:
            db.execute("DELETE FROM tickets WHERE expires <= ?", (self._now(),))
            db.execute(
                "INSERT INTO tickets (digest, session, expires) VALUES (?, ?, ?)",
                (_digest(ticket), session.digest, expires),
            )
        return ticket

    def redeem(self, ticket: str) -> Opened:
        """Use up a ticket and begin the browser's session with the login it stands for.

        Raises ticket_invalid if it is unknown, used or expired, or its login has ended.
        """
        with self._store.transaction() as db:
            row = db.execute(
                "DELETE FROM tickets WHERE digest = ? RETURNING session, expires",
                (_digest(ticket),),
            ).fetchone()
            login = None
            if row is not None and self._now() < row["expires"]:
                login = db.execute(
                    "SELECT * FROM sessions WHERE digest = ? AND ends > ?",
                    (row["session"], self._now()),
                ).fetchone()
            opened = None
            if login is not None:
                opened = self._insert(
                    db,
                    SessionState(login["state"]),
                    login["unit"],
                    login["unit_name"],
                    login["ends"],
                )
        if opened is None:
            raise PortalRefusal("ticket_invalid")
        return opened

    def _insert(
        self, db: sqlite3.Connection, state: SessionState, unit: str, unit_name: str, ends: int
    ) -> Opened:
        session_id = secrets.token_urlsafe(_ID_BYTES)
        session = Session(
            state, unit, unit_name, secrets.token_urlsafe(_ID_BYTES), _digest(session_id)
        )
        db.execute(
            "INSERT INTO sessions (digest, state, unit, unit_name, csrf, seen, ends)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (session.digest, state, unit, unit_name, session.csrf, self._now(), ends),
        )
        return Opened(session_id, session)

    def _now(self) -> int:
        return int(self._settings.clock.now().timestamp())


def _digest(secret: str) -> str:
    # The secrets are 256 random bits: a plain digest is enough, nothing can be guessed.
    return hashlib.sha256(secret.encode()).hexdigest()


def _delete(db: sqlite3.Connection, digest: str) -> None:
    db.execute("DELETE FROM tickets WHERE session = ?", (digest,))
    db.execute("DELETE FROM sessions WHERE digest = ?", (digest,))

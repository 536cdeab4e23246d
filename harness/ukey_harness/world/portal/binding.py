"""CA用户绑定: which account a certificate's unit reports with.

A binding is kept under the unit's identifier, not under a certificate, so that a renewed
certificate of the same unit needs no second one.
"""

from __future__ import annotations

import logging

from .accounts import Accounts
from .refusals import PortalRefusal
from .sessions import Opened, Session, Sessions, SessionState
from .settings import PortalSettings
from .store import Store

_log = logging.getLogger(__name__)


class Bindings:
    """The bindings of units to accounts."""

    def __init__(
        self, settings: PortalSettings, store: Store, accounts: Accounts, sessions: Sessions
    ) -> None:
        self._settings = settings
        self._store = store
        self._accounts = accounts
        self._sessions = sessions

    def exists(self, unit: str) -> bool:
        """Whether the unit with this identifier is bound."""
        with self._store.transaction() as db:
            row = db.execute("SELECT 1 FROM bindings WHERE unit = ?", (unit,)).fetchone()
        return row is not None

    def bind(self, session: Session, user: str, password: str) -> Opened:
        """Bind the session's unit to an account, and log it in under a new session id.

        Raises not_in_bind_state, bad_request (one of them is empty), bad_credentials,
        account_locked, account_of_another_unit.
        """
        if session.state is not SessionState.BIND:
            raise PortalRefusal("not_in_bind_state")
        if not user or not password:
            raise PortalRefusal("bad_request", "请填写用户名和口令。")
        account = self._accounts.unlock(user, password)
        if account.unit.identifier != session.unit:
            raise PortalRefusal("account_of_another_unit")
        now = int(self._settings.clock.now().timestamp())
        with self._store.transaction() as db:
            holder = db.execute(
                "SELECT unit FROM bindings WHERE user = ?", (account.user,)
            ).fetchone()
            if holder is not None and holder["unit"] != session.unit:
                raise PortalRefusal("account_of_another_unit")
            db.execute(
                "INSERT INTO bindings (unit, user, bound) VALUES (?, ?, ?)"
                " ON CONFLICT (unit) DO NOTHING",
                (session.unit, account.user, now),
            )
        _log.info("a unit was bound to its account")
        return self._sessions.raise_to_ok(session)

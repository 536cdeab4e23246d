"""The portal's parts, put together in one place."""

from __future__ import annotations

from dataclasses import dataclass

from ukey_harness.world.units import Unit

from .accounts import Accounts
from .binding import Bindings
from .challenge import Challenges
from .enrolment.fields import Enrolment, enrolment
from .enrolment.handin import HandIn
from .enrolment.persons import Persons
from .enrolment.rosters import Rosters
from .login import CertificateLogin
from .refusals import PortalRefusal
from .sessions import Session, Sessions
from .settings import PortalSettings
from .store import Store
from .trust import Trust


@dataclass(frozen=True)
class Portal:
    """What the pages and the JSON interface work with; all of it blocks: use worker threads."""

    settings: PortalSettings
    store: Store
    accounts: Accounts
    sessions: Sessions
    challenges: Challenges
    bindings: Bindings
    login: CertificateLogin
    rules: Enrolment
    persons: Persons
    rosters: Rosters

    @classmethod
    def open(cls, settings: PortalSettings) -> Portal:
        """Open the portal's database in the settings' folder and build the parts on it."""
        store = Store(settings.folder)
        trust = Trust(settings)
        rules = enrolment()
        accounts = Accounts(settings, store)
        sessions = Sessions(settings, store)
        challenges = Challenges(settings, store)
        bindings = Bindings(settings, store, accounts, sessions)
        persons = Persons(settings, store, rules)
        return cls(
            settings=settings,
            store=store,
            accounts=accounts,
            sessions=sessions,
            challenges=challenges,
            bindings=bindings,
            login=CertificateLogin(challenges, trust, bindings, sessions),
            rules=rules,
            persons=persons,
            rosters=Rosters(settings, store, rules, persons, HandIn(trust)),
        )

    def unit_of(self, session: Session) -> Unit:
        """Return the unit of a logged-in session; raises not_logged_in where it is gone."""
        unit = self.accounts.unit_of(session.unit)
        if unit is None:
            raise PortalRefusal("not_logged_in")
        return unit

    def close(self) -> None:
        """Close the database."""
        self.store.close()

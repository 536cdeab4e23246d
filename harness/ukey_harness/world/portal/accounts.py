"""The old accounts of the portal: user, password, and the unit that they report for."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from ukey_harness.world.units import Unit

from .refusals import PortalRefusal
from .settings import CHINA, PortalSettings
from .store import Store

_SALT_BYTES = 16
_USER_LIMIT = 64
_PASSWORD_LIMIT = 256
# OWASP's floor for scrypt is N=2^14, r=8, p=5; 16 MiB and about 100 ms a try here.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**14, 8, 5
_ABSENT_SALT = bytes(_SALT_BYTES)


@dataclass(frozen=True)
class Account:
    """An account whose password was given rightly."""

    user: str
    unit: Unit


class Accounts:
    """The accounts, their passwords (scrypt, RFC 7914) and the count of wrong tries."""

    def __init__(self, settings: PortalSettings, store: Store) -> None:
        self._settings = settings
        self._store = store
        # One derivation at a time: a flood of tries must not take all memory and processors.
        self._deriving = threading.Lock()

    def add(self, user: str, password: str, unit: Unit) -> None:
        """Add an account, or give the account `user` this password and unit.

        Raises ValueError where user or password is empty or too long.
        """
        if not 0 < len(user) <= _USER_LIMIT or not 0 < len(password) <= _PASSWORD_LIMIT:
            raise ValueError(
                f"an account needs a user of 1 to {_USER_LIMIT} and a password of 1 to "
                f"{_PASSWORD_LIMIT} characters"
            )
        salt = secrets.token_bytes(_SALT_BYTES)
        derived = self._derive(password, salt)
        with self._store.transaction() as db:
            db.execute(
                "INSERT INTO units (identifier, name, number) VALUES (?, ?, ?)"
                " ON CONFLICT (identifier) DO UPDATE SET name = excluded.name,"
                " number = excluded.number",
                (unit.identifier, unit.name, unit.number),
            )
            db.execute(
                "INSERT INTO accounts (user, salt, password, unit) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (user) DO UPDATE SET salt = excluded.salt,"
                " password = excluded.password, unit = excluded.unit",
                (user, salt, derived, unit.identifier),
            )

    def unlock(self, user: str, password: str) -> Account:
        """Return the account if the password is right; count the try if it is wrong.

        Unknown users are counted and locked as known ones are, so that the answer does not
        tell who has an account. The try is counted before the password is compared, so that
        tries at the same time are all counted.
        Raises bad_credentials (with tries_left), account_locked (with locked_until, UTC).
        """
        user, password = user[: _USER_LIMIT + 1], password[: _PASSWORD_LIMIT + 1]
        failures = self._count_try(user)
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT a.salt, a.password, u.* FROM accounts a"
                " JOIN units u ON u.identifier = a.unit WHERE a.user = ?",
                (user,),
            ).fetchone()
        derived = self._derive(password, row["salt"] if row else _ABSENT_SALT)
        if row is None or not hmac.compare_digest(derived, row["password"]):
            left = self._settings.limits.bind_tries - failures
            if left <= 0:
                raise self._lock()
            raise PortalRefusal(
                "bad_credentials",
                f"用户名或口令不正确，还可以再试 {left} 次。",
                tries_left=left,
            )
        with self._store.transaction() as db:
            db.execute("DELETE FROM bind_tries WHERE user = ?", (user,))
        return Account(user, Unit(row["name"], row["identifier"], row["number"]))

    def unit_of(self, identifier: str) -> Unit | None:
        """Return what the portal knows of a unit, None if it knows nothing."""
        with self._store.transaction() as db:
            row = db.execute("SELECT * FROM units WHERE identifier = ?", (identifier,)).fetchone()
        return Unit(row["name"], row["identifier"], row["number"]) if row else None

    def _derive(self, password: str, salt: bytes) -> bytes:
        with self._deriving:
            return hashlib.scrypt(
                password.encode(), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P
            )

    def _count_try(self, user: str) -> int:
        """Count a try that is about to be made; the last one locks before it is compared."""
        limits = self._settings.limits
        now = int(self._settings.clock.now().timestamp())
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT failures, locked_until FROM bind_tries WHERE user = ?", (user,)
            ).fetchone()
            failures = row["failures"] if row else 0
            if row and row["locked_until"] > now:
                raise _locked(row["locked_until"])
            if row and row["locked_until"]:
                failures = 0  # the lock has run out
            failures += 1
            last = failures >= limits.bind_tries
            until = now + int(limits.bind_lock.total_seconds()) if last else 0
            db.execute(
                "INSERT INTO bind_tries (user, failures, locked_until) VALUES (?, ?, ?)"
                " ON CONFLICT (user) DO UPDATE SET failures = excluded.failures,"
                " locked_until = excluded.locked_until",
                (user, failures, until),
            )
            return int(failures)

    def _lock(self) -> PortalRefusal:
        until = self._settings.clock.now() + self._settings.limits.bind_lock
        return _locked(int(until.timestamp()))


def _locked(until: int) -> PortalRefusal:
    moment = datetime.fromtimestamp(until, UTC)
    return PortalRefusal(
        "account_locked",
        "口令连续错误次数过多，账户已锁定。"
        f"请于 {moment.astimezone(CHINA):%Y-%m-%d %H:%M} 之后再试。",
        locked_until=moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )

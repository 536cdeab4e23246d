"""The login challenge: a text of the portal's own making, to be signed once and soon.

The text names the site, the origin, a nonce and an expiry, so that a signature over it can be
used at no other site and at no other time. The portal verifies against the text that it keeps,
never against one that a client sends.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from .refusals import PortalRefusal
from .settings import PortalSettings
from .store import Store

_NONCE_BYTES = 32


@dataclass(frozen=True)
class Challenge:
    """A challenge as given to a client: its id, the exact text to sign, the expiry (UTC)."""

    id: str
    text: str
    expires: datetime

    @property
    def expires_text(self) -> str:
        """The expiry as in the text: ISO 8601, UTC."""
        return iso_utc(self.expires)


class Challenges:
    """The challenges that are out: made, kept and used up here."""

    def __init__(self, settings: PortalSettings, store: Store) -> None:
        self._settings = settings
        self._store = store

    def make(self) -> Challenge:
        """Make and keep a new challenge; challenges long expired are forgotten."""
        now = self._settings.clock.now()
        expires = now + self._settings.limits.challenge
        text = (
            f"{self._settings.site}\n"
            "单位用户证书登录：对本文本签名，即以该证书登录下列网址。\n"
            f"origin: {self._settings.origin}\n"
            f"nonce: {secrets.token_hex(_NONCE_BYTES)}\n"
            f"expires: {iso_utc(expires)}\n"
        )
        challenge = Challenge(secrets.token_urlsafe(16), text, expires)
        keep_until = now - self._settings.limits.challenge * 10
        with self._store.transaction() as db:
            db.execute("DELETE FROM challenges WHERE expires < ?", (int(keep_until.timestamp()),))
            db.execute(
                "INSERT INTO challenges (id, origin, text, expires) VALUES (?, ?, ?, ?)",
                (challenge.id, self._settings.origin, text, int(expires.timestamp())),
            )
        return challenge

    def use(self, challenge_id: str, shown: str | None = None) -> str:
        """Use up a challenge and return its text, the only one to verify against.

        It is spent before anything else is looked at, so that each one can be tried once.
        shown: the text that the client says it signed, if it says so.
        Raises challenge_unknown, challenge_used, challenge_expired, origin_mismatch,
        signature_invalid (another text was signed).
        """
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT origin, text, expires FROM challenges WHERE id = ?", (challenge_id,)
            ).fetchone()
            if row is None:
                raise PortalRefusal("challenge_unknown")
            spent = db.execute(
                "UPDATE challenges SET used = 1 WHERE id = ? AND used = 0", (challenge_id,)
            )
            if spent.rowcount != 1:
                raise PortalRefusal("challenge_used")
        if int(self._settings.clock.now().timestamp()) >= row["expires"]:
            raise PortalRefusal("challenge_expired")
        if row["origin"] != self._settings.origin:
            raise PortalRefusal("origin_mismatch")
        text = str(row["text"])
        if shown is not None and shown != text:
            if f"origin: {self._settings.origin}" not in shown.splitlines():
                raise PortalRefusal("origin_mismatch")
            raise PortalRefusal("signature_invalid", "所签的文本不是本系统给出的登录文本。")
        return text

    def text_of(self, challenge_id: str) -> str:
        """Return the text of a challenge that is still out, for signing it elsewhere.

        Raises challenge_unknown, challenge_used, challenge_expired.
        """
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT text, expires, used FROM challenges WHERE id = ?", (challenge_id,)
            ).fetchone()
        if row is None:
            raise PortalRefusal("challenge_unknown")
        if row["used"]:
            raise PortalRefusal("challenge_used")
        if int(self._settings.clock.now().timestamp()) >= row["expires"]:
            raise PortalRefusal("challenge_expired")
        return str(row["text"])


def iso_utc(moment: datetime) -> str:
    """Write a moment as ISO 8601 in UTC, whole seconds: 2026-01-31T08:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

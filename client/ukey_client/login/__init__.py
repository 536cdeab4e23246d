"""Logging in at the portal with a certificate (证书登录)."""

from collections.abc import Callable
from datetime import UTC, datetime

from ukey_client.login import challenge as challenges
from ukey_client.login.portal import BrowserLink, Challenge, LoginResult, Portal, Roster
from ukey_client.login.signature import sign_detached
from ukey_client.token import HeldCertificate, Token
from ukey_client.token.validity import require_valid

__all__ = ["BrowserLink", "Challenge", "LoginResult", "Portal", "Roster", "log_in"]


def log_in(
    token: Token,
    certificate: HeldCertificate,
    portal: Portal,
    *,
    before_signing: Callable[[Challenge], None] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> LoginResult:
    """Sign a challenge of the portal and hand it in.

    The text is signed only if it names this portal's origin, a nonce, and an expiry that lies
    ahead (ChallengeRefused). `before_signing` sees the checked challenge, may show it, and is
    where the PIN is asked for if the token is not logged in yet.
    """
    require_valid(certificate, now())
    challenge = portal.challenge()
    challenges.check(challenge, portal.origin, now())
    if before_signing is not None:
        before_signing(challenge)
    signature = sign_detached(
        token,
        certificate,
        challenge.text.encode(),
        signing_time=now(),
        chain=token.authorities(),
    )
    return portal.log_in(challenge.id, signature)

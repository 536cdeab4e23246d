"""单位用户登录: from a signed challenge to a session."""

from __future__ import annotations

import logging

from .binding import Bindings
from .challenge import Challenges
from .sessions import Opened, Session, Sessions, SessionState
from .signatures import verify_detached
from .trust import Purpose, Trust, unit_name

_log = logging.getLogger(__name__)


class CertificateLogin:
    """Logging in with a certificate: challenge, signature, certificate, in this order."""

    def __init__(
        self, challenges: Challenges, trust: Trust, bindings: Bindings, sessions: Sessions
    ) -> None:
        self._challenges = challenges
        self._trust = trust
        self._bindings = bindings
        self._sessions = sessions

    def accept(
        self,
        challenge_id: str,
        signature: bytes,
        *,
        shown: str | None = None,
        instead_of: Session | None = None,
    ) -> Opened:
        """Judge a signed challenge and begin the session of the signer's unit.

        signature: DER, CMS SignedData, detached over the challenge's text in UTF-8.
        shown: the text that the client signed, if it says so; instead_of: the session that ends.
        The session is in state ok if the unit is bound, else in state bind.
        May ask the CA: call it from a worker thread. Raises the refusals of `Challenges.use`,
        `verify_detached` and `Trust.require`.
        """
        text = self._challenges.use(challenge_id, shown)
        signer = verify_detached(signature, text.encode())
        unit = self._trust.require(signer.certificate, signer.others, Purpose.LOGIN)
        state = SessionState.OK if self._bindings.exists(unit) else SessionState.BIND
        _log.info("a certificate logged in, state %s", state)
        return self._sessions.begin(
            state,
            unit=unit,
            unit_name=unit_name(signer.certificate),
            until=signer.certificate.not_valid_after,
            instead_of=instead_of,
        )

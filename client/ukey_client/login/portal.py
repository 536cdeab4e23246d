"""The reporting portal (网报系统) as a client sees it: its JSON interface over HTTP."""

import base64
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from ukey_client.errors import InsecureAddress, NotLoggedIn, PortalOdd, PortalRefused
from ukey_client.network.address import origin_of, origin_of_page
from ukey_client.network.exchange import Answer, Exchange

_JSON_LIMIT: Final = 1024 * 1024
_NOT_FROM_A_PAGE: Final = {"X-Requested-With": "ukeylab"}
_OK, _REDIRECT, _CLIENT_ERROR = 200, 300, 400
_UNAUTHORIZED = 401
_ROSTER_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLAIN_ADDRESS = re.compile(r"[!-\[\]-~]{1,2000}")
"""Printing ASCII without the backslash, which browsers take for a slash."""


@dataclass(frozen=True)
class Challenge:
    """What the portal wants signed; `expires` as it stands beside the text."""

    id: str
    text: str
    expires: datetime


@dataclass(frozen=True)
class LoginResult:
    """How a login stands: state `ok` (in), `bind` (an account must be bound), `none`."""

    state: str
    unit: str


@dataclass(frozen=True)
class Roster:
    """A document that the portal produced and wants sealed; sha256 of the unsealed PDF."""

    id: str
    title: str
    state: str
    sha256: str
    created: str


@dataclass(frozen=True)
class BrowserLink:
    """A one-time address that takes our session over into a browser.

    `seconds` is how long it may be opened; None if the portal does not tell.
    """

    url: str
    seconds: int | None


class Portal:
    """One portal and our session with it."""

    def __init__(self, url: str) -> None:
        self.origin = origin_of(url)
        self._exchange = Exchange(self.origin, "网报系统")

    @property
    def cookies(self) -> dict[str, str]:
        """The session, to be kept as the secret it is."""
        return self._exchange.cookies

    def resume(self, cookies: dict[str, str]) -> None:
        """Go on with a session that was kept."""
        self._exchange.set_cookies(cookies)

    def challenge(self) -> Challenge:
        """Ask for a text to sign."""
        found = self._get("/api/login/challenge")
        expires = found.text("expires")
        try:
            moment = datetime.fromisoformat(expires)
        except ValueError as error:
            raise found.odd("有效期不是时间") from error
        if moment.tzinfo is None:
            raise found.odd("有效期没有时区")
        return Challenge(found.text("id"), found.text("text"), moment)

    def log_in(self, challenge_id: str, signature: bytes) -> LoginResult:
        """Hand in the signature (DER of a CMS SignedData) of a challenge's text."""
        sent = {"id": challenge_id, "signature": base64.b64encode(signature).decode()}
        return self._post("/api/login", sent).login_result()

    def bind(self, user: str, password: str) -> LoginResult:
        """Bind the certificate of this session to an account."""
        return self._post("/api/bind", {"user": user, "password": password}).login_result()

    def session(self) -> LoginResult:
        """Ask how our session stands."""
        return self._get("/api/session").login_result()

    def browser_link(self) -> BrowserLink:
        """Ask for an address with which a browser goes on; PortalOdd if it leads elsewhere."""
        found = self._post("/api/session/ticket", {})
        url = found.text("url")
        try:
            here = bool(_PLAIN_ADDRESS.fullmatch(url)) and origin_of_page(url) == self.origin
        except InsecureAddress as error:
            raise found.odd("登录链接不是有效的网址") from error
        if not here:
            raise found.odd("登录链接指向别的网站")
        seconds = found.fields.get("seconds")
        return BrowserLink(url, seconds if type(seconds) is int and seconds > 0 else None)

    def log_out(self) -> None:
        """End our session."""
        self._post("/api/logout", {})

    def rosters(self) -> list[Roster]:
        """List the documents of our unit."""
        found = self._get("/api/rosters")
        rosters = found.fields.get("rosters")
        if not isinstance(rosters, list):
            raise found.odd("缺少 rosters")
        return [_Fields(found.url, entry).roster() for entry in rosters]

    def roster_pdf(self, roster_id: str) -> bytes:
        """Fetch a document as it was produced, unsealed."""
        path = f"/api/rosters/{_checked(roster_id)}.pdf"
        return _accepted(self.origin + path, self._exchange.get(path)).body

    def upload_sealed(self, roster_id: str, pdf: bytes) -> str:
        """Hand in the sealed document; the result is its new state."""
        path = f"/api/rosters/{_checked(roster_id)}/sealed"
        answer = self._exchange.post(path, pdf, "application/pdf", headers=_NOT_FROM_A_PAGE)
        return _json(self.origin + path, answer).text("state")

    def close(self) -> None:
        """Let the connections go; the session stays."""
        self._exchange.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _get(self, path: str) -> "_Fields":
        return _json(self.origin + path, self._exchange.get(path, limit=_JSON_LIMIT))

    def _post(self, path: str, fields: dict[str, str]) -> "_Fields":
        body = json.dumps(fields).encode()
        answer = self._exchange.post(
            path, body, "application/json", headers=_NOT_FROM_A_PAGE, limit=_JSON_LIMIT
        )
        return _json(self.origin + path, answer)


class _Fields:
    """The fields of a JSON object that came from an address."""

    def __init__(self, url: str, value: Any) -> None:  # noqa: ANN401 - whatever JSON holds
        self.url = url
        if not isinstance(value, dict):
            raise self.odd("不是 JSON 对象")
        self.fields: dict[str, Any] = value

    def odd(self, reason: str) -> PortalOdd:
        return PortalOdd(self.url, reason)

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise self.odd(f"缺少 {name}")
        return value

    def login_result(self) -> LoginResult:
        state = self.text("state")
        if state not in {"ok", "bind", "none"}:
            raise self.odd(f"不认识的状态 {state}")
        unit = self.fields.get("unit")
        return LoginResult(state, unit if isinstance(unit, str) else "")

    def roster(self) -> Roster:
        sha256 = self.text("sha256").lower()
        if not _SHA256.fullmatch(sha256):
            raise self.odd("sha256 不正确")
        return Roster(
            id=str(self.fields.get("id", "")),
            title=self.text("title"),
            state=self.text("state"),
            sha256=sha256,
            created=str(self.fields.get("created", "")),
        )


def _json(url: str, answer: Answer) -> _Fields:
    body = _accepted(url, answer).body
    try:
        return _Fields(url, json.loads(body))
    except ValueError as error:
        raise PortalOdd(url, "不是 JSON") from error


def _accepted(url: str, answer: Answer) -> Answer:
    """Give back an answer of success; the portal's errors as what they are."""
    if _OK <= answer.status < _REDIRECT:
        return answer
    if answer.status >= _CLIENT_ERROR and answer.media_type == "application/json":
        try:
            fields = json.loads(answer.body)
        except ValueError:
            fields = None
        if isinstance(fields, dict) and isinstance(fields.get("code"), str):
            if answer.status == _UNAUTHORIZED:
                raise NotLoggedIn
            tries = fields.get("tries_left")
            raise PortalRefused(
                fields["code"],
                str(fields.get("message", "")),
                status=answer.status,
                tries_left=tries if isinstance(tries, int) else None,
            )
    if answer.status == _UNAUTHORIZED:
        raise NotLoggedIn
    raise PortalOdd(url, f"HTTP {answer.status}")


def _checked(roster_id: str) -> str:
    if not _ROSTER_ID.fullmatch(roster_id) or set(roster_id) == {"."}:
        raise PortalRefused("roster_unknown", f"没有编号为 {roster_id} 的名册")
    return roster_id

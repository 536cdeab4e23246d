"""A small portal for the client's tests; OpenSSL judges the signatures that it gets."""

import base64
import hashlib
import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from small_ca import SmallCa, serving
from small_pdf import make_pdf

COOKIE = "portal_session"
OPENSSL = [
    "openssl",
    "cms",
    "-verify",
    "-binary",
    "-inform",
    "DER",
    "-purpose",
    "any",
    "-cades",
    "-out",
    "/dev/null",
]


class SmallPortal:
    def __init__(self, ca: SmallCa, folder: Path) -> None:
        self.url = ""
        self.bound = False
        self.text: str | None = None  # a text of the test's own instead of the right one
        self.expires = timedelta(minutes=2)
        self.broken: tuple[Any, ...] | None = None
        self.roster = make_pdf("企业养老保险人员参保登记名册", pages=2)
        self.roster_sha256 = hashlib.sha256(self.roster).hexdigest()
        self.uploaded: bytes | None = None
        self.refuse_upload: tuple[str, str] | None = None
        self.requests: list[tuple[str, str, Any]] = []
        self.signature = b""
        self._folder = folder
        self._trust = ca.write_trust(folder / "trust.pem")
        self._challenges: dict[str, str] = {}
        self._sessions: dict[str, str] = {}

    def answer(self, method: str, path: str, body: bytes, headers: Any) -> tuple[Any, ...]:
        self.requests.append((method, path, headers))
        if self.broken is not None:
            return self.broken
        if method == "POST" and headers.get("X-Requested-With") != "ukeylab":
            return _error(403, "csrf_refused", "请求被拒绝")
        session = _cookie(headers)
        routes = {
            ("GET", "/api/login/challenge"): self._challenge,
            ("POST", "/api/login"): lambda: self._login(json.loads(body)),
            ("POST", "/api/bind"): lambda: self._bind(json.loads(body), session),
            ("GET", "/api/session"): lambda: _json(self._state(session)),
            ("POST", "/api/logout"): lambda: _json({"state": "none"}),
            ("GET", "/api/rosters"): lambda: self._rosters(session),
            ("GET", "/api/rosters/R1.pdf"): lambda: (200, "application/pdf", self.roster),
            ("POST", "/api/rosters/R1/sealed"): lambda: self._upload(body, session),
        }
        route = routes.get((method, path))
        return route() if route else _error(404, "not_found", "没有这个页面")

    def _challenge(self) -> tuple[Any, ...]:
        expires = (datetime.now(UTC) + self.expires).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = self.text or (
            "测试网报系统\n单位用户证书登录\n"
            f"origin: {self.url}\nnonce: {secrets.token_hex(32)}\nexpires: {expires}\n"
        )
        id_ = secrets.token_urlsafe(8)
        self._challenges[id_] = text
        return _json({"id": id_, "text": text, "expires": expires})

    def _login(self, sent: dict[str, str]) -> tuple[Any, ...]:
        text = self._challenges.pop(sent["id"], None)
        if text is None:
            return _error(403, "challenge_used", "登录文字已使用过")
        self.signature = base64.b64decode(sent["signature"], validate=True)
        if not self._openssl_accepts(text):
            return _error(403, "signature_invalid", "签名无效")
        session = secrets.token_urlsafe(16)
        self._sessions[session] = "ok" if self.bound else "bind"
        cookie = {"Set-Cookie": f"{COOKIE}={session}; HttpOnly; SameSite=Strict; Path=/"}
        return (*_json(self._state(session)), cookie)

    def _openssl_accepts(self, text: str) -> bool:
        signature, content = self._folder / "login.der", self._folder / "login.txt"
        signature.write_bytes(self.signature)
        content.write_bytes(text.encode())
        judged = subprocess.run(
            [*OPENSSL, "-in", signature, "-content", content, "-CAfile", self._trust],
            check=False,
            capture_output=True,
            timeout=30,
        )
        return judged.returncode == 0

    def _bind(self, sent: dict[str, str], session: str) -> tuple[Any, ...]:
        if self._sessions.get(session) != "bind":
            return _error(403, "not_in_bind_state", "请先用证书登录")
        if (sent["user"], sent["password"]) != ("old-user", "old-password"):
            return _error(403, "bad_credentials", "用户名或密码错误", tries_left=4)
        self.bound = True
        self._sessions[session] = "ok"
        return _json(self._state(session))

    def _state(self, session: str) -> dict[str, str]:
        return {"state": self._sessions.get(session, "none"), "unit": "石家庄试用科技有限公司"}

    def _rosters(self, session: str) -> tuple[Any, ...]:
        if self._sessions.get(session) != "ok":
            return _error(401, "not_logged_in", "请先登录")
        state = "sealed" if self.uploaded else "produced"
        roster = {
            "id": "R1",
            "title": "企业养老保险人员参保登记名册",
            "created": "2026-11-01T08:00:00Z",
            "state": state,
            "sha256": self.roster_sha256,
        }
        return _json({"rosters": [roster]})

    def _upload(self, body: bytes, session: str) -> tuple[Any, ...]:
        if self._sessions.get(session) != "ok":
            return _error(401, "not_logged_in", "请先登录")
        if self.refuse_upload:
            return _error(422, *self.refuse_upload)
        self.uploaded = body
        return _json({"state": "sealed"})


def _json(fields: dict[str, Any], status: int = 200) -> tuple[Any, ...]:
    return status, "application/json", json.dumps(fields).encode()


def _error(status: int, code: str, message: str, **facts: Any) -> tuple[Any, ...]:
    return _json({"code": code, "message": message, **facts}, status)


def _cookie(headers: Any) -> str:
    cookies: SimpleCookie = SimpleCookie(headers.get("Cookie", ""))
    return cookies[COOKIE].value if COOKIE in cookies else ""


@contextmanager
def running_portal(ca: SmallCa, folder: Path) -> Iterator[SmallPortal]:
    portal = SmallPortal(ca, folder)
    with serving(portal.answer) as url:
        portal.url = url
        yield portal

"""Sessions, tickets, and what every request must pass: host, origin, page token, size, time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from portal_parties import ORIGIN, Holder, Office

from ukey_harness.world.portal import Limits, PortalSettings


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.close()


@pytest.fixture
def holder(office: Office) -> Holder:
    return office.member().enter()


def state(holder: Holder) -> str:
    found: str = holder.client.get("/api/session").json()["state"]
    return found


def csrf_of(page: str) -> str:
    return page.split('name="csrf" value="')[1].split('"', maxsplit=1)[0]


def test_logout_ends_the_session_for_good(holder: Holder) -> None:
    old = holder.client.cookies["ukeylab_session"]
    assert holder.client.post("/api/logout").json() == {"state": "none"}
    holder.client.cookies.set("ukeylab_session", old)
    assert state(holder) == "none"


def test_logging_out_from_a_page(holder: Holder) -> None:
    csrf = csrf_of(holder.client.get("/business").text)
    answer = holder.client.post("/logout", data={"csrf": csrf})
    assert "已安全退出" in answer.text
    assert state(holder) == "none"


def test_a_session_left_alone_ends(office: Office, holder: Holder) -> None:
    for _ in range(3):
        office.clock.advance(timedelta(minutes=28))
        assert state(holder) == "ok"
    office.clock.advance(timedelta(minutes=30))
    assert state(holder) == "none"


def test_a_session_in_use_ends_after_eight_hours(office: Office, holder: Holder) -> None:
    for minutes in [29] * 16 + [14]:
        office.clock.advance(timedelta(minutes=minutes))
        assert state(holder) == "ok"
    office.clock.advance(timedelta(minutes=2))
    assert state(holder) == "none"


def test_a_session_ends_with_the_certificate(office: Office) -> None:
    start = office.clock.now() - timedelta(days=1) + timedelta(minutes=10)
    holder = office.member(2, start=start, days=1).enter()
    office.clock.advance(timedelta(minutes=9))
    assert state(holder) == "ok"
    office.clock.advance(timedelta(minutes=2))
    assert state(holder) == "none"


def test_a_login_gives_a_new_id(holder: Holder) -> None:
    before = holder.client.cookies["ukeylab_session"]
    holder.log_in()
    assert holder.client.cookies["ukeylab_session"] != before
    holder.client.cookies.clear()
    holder.client.cookies.set("ukeylab_session", before)
    assert state(holder) == "none"


def test_a_ticket_opens_one_browser_once(office: Office, holder: Holder) -> None:
    url = holder.client.post("/api/session/ticket").json()["url"]
    assert url.startswith(f"{ORIGIN}/login/continue?ticket=")
    browser = office.client()
    landed = browser.get(url)
    assert landed.status_code == 200
    assert holder.unit.name in landed.text
    assert "SameSite=strict" in landed.headers["set-cookie"]
    assert browser.get("/business").status_code == 200
    assert browser.cookies["ukeylab_session"] != holder.client.cookies["ukeylab_session"]
    again = office.client().get(url)
    assert again.status_code == 403
    assert "登录链接无效" in again.text


def test_a_ticket_expires_and_dies_with_its_login(office: Office, holder: Holder) -> None:
    first = holder.client.post("/api/session/ticket").json()["url"]
    office.clock.advance(timedelta(seconds=60))
    assert office.client().get(first).status_code == 403
    second = holder.client.post("/api/session/ticket").json()["url"]
    holder.client.post("/api/logout")
    assert office.client().get(second).status_code == 403
    assert holder.client.post("/api/session/ticket").status_code == 401


def test_the_json_interface_wants_its_header(office: Office) -> None:
    client = office.client()
    del client.headers["X-Requested-With"]
    for path in ("/api/login", "/api/bind", "/api/logout", "/api/session/ticket", "/api/rosters"):
        answer = client.post(path, json={})
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf_refused"), path


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://portal.test"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_foreign_pages_change_nothing(holder: Holder, headers: dict[str, str]) -> None:
    answer = holder.client.post("/api/logout", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused")
    assert state(holder) == "ok"


def test_our_own_pages_may(holder: Holder) -> None:
    headers = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
    assert holder.client.post("/api/logout", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.test", "portal.test", "portal.test:80", "127.0.0.1:8080", ""]
)
def test_other_hosts_are_refused(office: Office, host: str) -> None:
    answer = office.client().get("/api/session", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "host_refused")
    assert "不是本系统的地址" in office.client().get("/", headers={"Host": host}).text


@pytest.mark.parametrize("token", [None, "", "guess", "of another session"])
def test_forms_want_the_page_token(office: Office, holder: Holder, token: str | None) -> None:
    if token == "of another session":
        other = office.member(1).enter()
        token = csrf_of(other.client.get("/business").text)
    form = {} if token is None else {"csrf": token}
    for path in ("/logout", "/business/enrolment/submit", "/business/enrolment/rosters"):
        answer = holder.client.post(path, data=form)
        assert answer.status_code == 403, path
        assert "csrf_refused" in answer.text
    assert state(holder) == "ok"


def test_answers_carry_the_security_headers(office: Office) -> None:
    for path in ("/", "/login", "/api/session", "/no-such-page", "/static/portal.css"):
        headers = office.client().get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert (headers.get("cache-control") == "no-store") == (not path.startswith("/static/"))


def test_pages_have_no_script(holder: Holder) -> None:
    for path in ("/", "/login", "/flexible", "/business", "/business/enrolment/persons/new"):
        page = holder.client.get(path).text
        assert "<script" not in page
        assert " style=" not in page
        assert "onclick" not in page


@pytest.mark.parametrize("path", ["/business", "/business/enrolment/handin", "/bind"])
def test_pages_send_strangers_to_the_login(office: Office, path: str) -> None:
    answer = office.client().get(path)
    assert answer.url.path == "/login"
    assert "请先登录" in answer.text


def test_the_json_interface_tells_strangers_to_log_in(office: Office) -> None:
    client = office.client()
    for answer in (
        client.get("/api/rosters"),
        client.post("/api/rosters"),
        client.get("/api/rosters/x.pdf"),
        client.post("/api/enrolment/submit"),
        client.post("/api/rosters/x/sealed", content=b"%PDF-"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (401, "not_logged_in")
    waiting = office.member(1)
    waiting.log_in()
    assert waiting.client.get("/api/rosters").json()["code"] == "bind_required"


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"{", "application/json", (400, "bad_request")),
        (b"[]", "application/json", (400, "bad_request")),
        (b"[" * 50_000, "application/json", (400, "bad_request")),
        (b"{}", "application/json", (400, "bad_request")),
        (b'{"id": 1, "signature": "AA=="}', "application/json", (400, "bad_request")),
        (b'{"id": "a", "signature": "?"}', "application/json", (400, "bad_request")),
        (b"id=1", "application/x-www-form-urlencoded", (415, "unsupported_media_type")),
        (b"\xff\xfe", "application/json", (400, "bad_request")),
    ],
)
def test_malformed_bodies(
    office: Office, body: bytes, kind: str, expected: tuple[int, str]
) -> None:
    answer = office.client().post("/api/login", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == expected


def test_bodies_have_a_limit(tmp_path: Path) -> None:
    office = Office(tmp_path, limits=Limits(form_bytes=1024, sealed_bytes=4096))
    client = office.client()

    def pieces() -> Iterator[bytes]:
        for _ in range(8):
            yield b"x" * 1024

    for content in (b"x" * 8192, pieces()):
        answer = client.post(
            "/api/login", content=content, headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert answer.json()["limit"] == 1024
    page = client.post("/login", data={"csrf": "x" * 4096})
    assert page.status_code == 413
    assert "文件过大" in page.text
    office.close()


def test_a_body_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    office = Office(tmp_path, limits=Limits(body_seconds=0.2))
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError("the portal waited for a body that does not come")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/login",
        "raw_path": b"/api/login",
        "query_string": b"",
        "headers": [
            (b"host", b"portal.test:8080"),
            (b"x-requested-with", b"ukeylab"),
            (b"content-type", b"application/json"),
        ],
        "server": ("127.0.0.1", 8080),
        "scheme": "http",
        "http_version": "1.1",
    }
    asyncio.run(asyncio.wait_for(office.app(scope, receive, send), 10))
    office.close()
    assert sent[0]["status"] == 408
    assert b"request_timeout" in sent[1]["body"]


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/no-such-page", 404, "找不到"),
        ("GET", "/static/../app.py", 404, "找不到"),
        ("GET", "/static/%2e%2e/app.py", 404, "找不到"),
        ("DELETE", "/login", 405, "不支持"),
        ("GET", "/login/challenge/nobody.txt", 403, "登录文本不存在"),
    ],
)
def test_error_pages_are_friendly(
    office: Office, method: str, path: str, status: int, words: str
) -> None:
    answer = office.client().request(method, path)
    assert answer.status_code == status
    assert words in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (RuntimeError("secret detail"), 500, "internal"),
        (sqlite3.OperationalError("database or disk is full"), 503, "storage_unavailable"),
    ],
)
def test_inner_faults_show_no_traceback(
    office: Office,
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
    status: int,
    code: str,
) -> None:
    def break_down(_: object) -> None:
        raise fault

    monkeypatch.setattr(type(office.app.state.portal.challenges), "make", break_down)
    answer = office.client().get("/api/login/challenge")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    page = office.client().get("/login")
    assert page.status_code == status
    assert "Traceback" not in page.text
    assert "secret detail" not in page.text


@pytest.mark.parametrize(
    "origin", ["http://portal.test/", "portal.test", "ftp://portal.test", "http://", "http://a/b"]
)
def test_the_origin_must_be_one(tmp_path: Path, office: Office, origin: str) -> None:
    with pytest.raises(ValueError, match="no origin"):
        PortalSettings(origin, tmp_path, office.clock, office.settings.trust_roots)


def test_a_portal_that_trusts_nobody_is_a_mistake(tmp_path: Path, office: Office) -> None:
    with pytest.raises(ValueError, match="trust_roots"):
        PortalSettings(ORIGIN, tmp_path, office.clock, ())


def test_over_tls_cookies_are_kept_to_it(tmp_path: Path) -> None:
    office = Office(tmp_path, origin="https://portal.test")
    holder = office.holder()
    assert "Secure" in holder.log_in().headers["set-cookie"]
    office.close()


def test_the_home_page_offers_both_entries_and_help(office: Office) -> None:
    page = office.client().get("/").text
    for words in ("单位用户登录", "灵活就业人员登录", "仅供测试", "社保服务专线", "办理网点"):
        assert words in page
    assert "尚未开放" in office.client().get("/flexible").text
    assert f"ukey login --portal {ORIGIN}" in office.client().get("/login").text

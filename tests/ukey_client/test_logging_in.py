"""Logging in and binding, against a portal that lets OpenSSL judge the signature."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.serialization import Encoding
from small_ca import SmallCa
from small_portal import OPENSSL, SmallPortal
from softhsm_key import MODULE, UNIT, Key

from ukey_client.binding import bind
from ukey_client.errors import (
    CertificateExpired,
    CertificateNotYetValid,
    ChallengeRefused,
    HolderError,
    InsecureAddress,
    NotLoggedIn,
    PortalOdd,
    PortalRefused,
    Unreachable,
)
from ukey_client.login import Challenge, log_in
from ukey_client.login import challenge as challenges
from ukey_client.login.portal import Portal
from ukey_client.login.session_store import SessionStore
from ukey_client.network.address import origin_of
from ukey_client.token import open_token
from ukey_client.token.cryptoki.token import CryptokiToken


@pytest.mark.parametrize("kind", ["rsa2048", "p256", "p384"])
def test_login_then_binding_then_login(
    make_key: Callable[..., Key], portal: SmallPortal, kind: str
) -> None:
    key = make_key(kind)
    with open_token(MODULE) as token, Portal(portal.url) as site:
        token.login(key.pin)
        (held,) = token.certificates()
        first = log_in(token, held, site)
        assert (first.state, first.unit) == ("bind", UNIT)
        assert bind(site, "old-user", "old-password").state == "ok"
        assert site.session().state == "ok"
        assert log_in(token, held, site).state == "ok"


def test_what_is_signed(token: CryptokiToken, key: Key, portal: SmallPortal, ca: SmallCa) -> None:
    seen: list[Challenge] = []

    def show(challenge: Challenge) -> None:
        seen.append(challenge)
        token.login(key.pin)

    with Portal(portal.url) as site:
        log_in(token, token.certificates()[0], site, before_signing=show)
    assert f"origin: {portal.url}\n" in seen[0].text
    signed = cms.ContentInfo.load(portal.signature)["content"]
    assert signed["encap_content_info"]["content"].native is None  # detached
    embedded = {one.chosen.dump() for one in signed["certificates"]}
    assert embedded == {
        one.public_bytes(Encoding.DER) for one in (key.certificate, ca.issuing, ca.root)
    }
    (info,) = signed["signer_infos"]
    names = {one["type"].native for one in info["signed_attrs"]}
    assert names == {"content_type", "message_digest", "signing_time", "signing_certificate_v2"}


def test_openssl_refuses_the_signature_over_another_text(
    token: CryptokiToken, key: Key, portal: SmallPortal, tmp_path: Path
) -> None:
    token.login(key.pin)
    with Portal(portal.url) as site:
        log_in(token, token.certificates()[0], site)
    (tmp_path / "other.txt").write_text("another text")
    (tmp_path / "signature.der").write_bytes(portal.signature)
    judged = subprocess.run(
        [*OPENSSL, "-in", "signature.der", "-content", "other.txt", "-CAfile", "trust.pem"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert judged.returncode != 0
    assert b"content verify error" in judged.stderr


# --- texts that are not signed ----------------------------------------------------------------

ORIGIN = "https://portal.example"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=2)
NONCE = "nonce: " + "ab" * 16


def challenge(*lines: str, expires: datetime = SOON) -> Challenge:
    return Challenge("1", "\n".join(lines), expires)


GOOD = ("网报系统", f"origin: {ORIGIN}", NONCE, "expires: 2026-11-23T12:02:00Z")


def test_a_good_text_is_signed() -> None:
    challenges.check(challenge(*GOOD), ORIGIN, NOW)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (challenge(*[line for line in GOOD if "origin" not in line]), "未注明"),
        (challenge(*[line.replace("portal.", "evil.") for line in GOOD]), "另一个网站"),
        (challenge(GOOD[0], f"origin: {ORIGIN}.evil", *GOOD[2:]), "另一个网站"),
        (challenge(*GOOD, "origin: https://evil.example"), "重复"),
        (challenge(GOOD[0], f"my origin: {ORIGIN}", *GOOD[2:]), "未注明"),
        (challenge(*GOOD[:2], GOOD[3]), "随机数"),
        (challenge(*GOOD[:2], "nonce: 1234", GOOD[3]), "随机数"),
        (challenge(*GOOD[:3]), "有效期"),
        (challenge(*GOOD, expires=SOON + timedelta(hours=1)), "不一致"),
        (challenge(*GOOD[:3], "expires: soon"), "有效期"),
        (challenge(*GOOD, "\u202eevil"), "控制字符"),
        (challenge(*GOOD, "\x1b[2J"), "控制字符"),
        (challenge(*GOOD, "x" * 5000), "过长"),
        (challenge(""), "为空"),
    ],
)
def test_texts_that_are_not_signed(text: Challenge, fault: str) -> None:
    with pytest.raises(ChallengeRefused, match=fault):
        challenges.check(text, ORIGIN, NOW)


@pytest.mark.parametrize(
    ("moment", "fault"),
    [(SOON, "过期"), (SOON + timedelta(1), "过期"), (NOW - timedelta(1), "过长")],
)
def test_texts_are_signed_in_their_time_only(moment: datetime, fault: str) -> None:
    with pytest.raises(ChallengeRefused, match=fault):
        challenges.check(challenge(*GOOD), ORIGIN, moment)


def test_a_refused_text_costs_no_pin(token: CryptokiToken, portal: SmallPortal) -> None:
    portal.text = "please sign this contract"

    def never(_: Challenge) -> None:
        raise AssertionError("the PIN was asked for")

    with Portal(portal.url) as site, pytest.raises(ChallengeRefused):
        log_in(token, token.certificates()[0], site, before_signing=never)


# --- certificates out of their time -----------------------------------------------------------


@pytest.mark.parametrize(
    ("starts", "ends", "fault"),
    [(-30, -1, CertificateExpired), (1, 30, CertificateNotYetValid)],
)
def test_certificates_out_of_their_time(
    make_key: Callable[..., Key],
    portal: SmallPortal,
    starts: int,
    ends: int,
    fault: type[HolderError],
) -> None:
    make_key("p256", starts=timedelta(days=starts), ends=timedelta(days=ends))
    with open_token(MODULE) as token, Portal(portal.url) as site:
        with pytest.raises(fault, match=UNIT):
            log_in(token, token.certificates()[0], site)
        assert portal.requests == []


# --- portals ----------------------------------------------------------------------------------


def test_refusals_keep_their_code(portal: SmallPortal) -> None:
    with Portal(portal.url) as site:
        with pytest.raises(PortalRefused, match="challenge_used"):
            site.log_in("unknown", b"signature")
        with pytest.raises(PortalRefused) as caught:
            site.bind("old-user", "old-password")
        assert caught.value.code == "not_in_bind_state"
        with pytest.raises(NotLoggedIn):
            site.rosters()


def test_wrong_credentials_tell_what_is_left(
    token: CryptokiToken, key: Key, portal: SmallPortal
) -> None:
    token.login(key.pin)
    with Portal(portal.url) as site:
        log_in(token, token.certificates()[0], site)
        with pytest.raises(PortalRefused, match="剩余 4 次") as caught:
            bind(site, "old-user", "guess")
    assert (caught.value.code, caught.value.tries_left) == ("bad_credentials", 4)


@pytest.mark.parametrize(
    "answer",
    [
        (200, "text/html", b"<html>not a portal</html>"),
        (200, "application/json", b"[]"),
        (200, "application/json", b'{"id": 1}'),
        (200, "application/json", b'{"id": "1", "text": "t", "expires": "soon"}'),
        (200, "application/json", b'{"id": "1", "text": "t", "expires": "2026-01-01T00:00:00"}'),
        (200, "application/json", b"{"),
        (302, "text/html", b""),
        (500, "text/html", b"oops"),
        (500, "application/json", b"[1]"),
    ],
)
def test_answers_that_no_portal_gives(portal: SmallPortal, answer: tuple[int, str, bytes]) -> None:
    portal.broken = answer
    with Portal(portal.url) as site, pytest.raises(PortalOdd):
        site.challenge()


def test_an_answer_without_end_is_cut_off(portal: SmallPortal) -> None:
    portal.broken = (200, "application/json", b" " * (2 * 1024 * 1024))
    with Portal(portal.url) as site, pytest.raises(Unreachable, match="过大"):
        site.challenge()


def test_nobody_listens() -> None:
    with Portal("http://127.0.0.1:9") as site, pytest.raises(Unreachable, match="网报系统"):
        site.challenge()


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]:80", "http://[::1]"),
        ("HTTPS://Portal.Example:443", "https://portal.example"),
        ("https://portal.example:8443", "https://portal.example:8443"),
    ],
)
def test_origins(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://portal.example", "https"),
        ("http://127.0.0.1.evil.example", "https"),
        ("http://localhost.evil.example", "https"),
        ("ftp://portal.example", "http 或 https"),
        ("portal.example", "http 或 https"),
        ("", "http 或 https"),
        ("https://", "http 或 https"),
        ("https://user:secret@portal.example", "用户名"),
        ("https://portal.example/path", "主机和端口"),
        ("https://portal.example:port", "有效的网址"),
        ("http://[::1", "有效的网址"),
    ],
)
def test_addresses_that_are_refused(url: str, fault: str) -> None:
    with pytest.raises(InsecureAddress, match=fault):
        Portal(url)


# --- the kept session -------------------------------------------------------------------------


def test_sessions_are_kept_for_their_origin_alone(tmp_path: Path) -> None:
    store = SessionStore(tmp_path / "client")
    store.save("https://a.example", {"session": "secret"})
    assert store.load("https://a.example") == {"session": "secret"}
    assert store.load("https://b.example") == {}
    (kept,) = (tmp_path / "client").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    store.save("https://a.example", {"session": "newer"})
    assert store.load("https://a.example") == {"session": "newer"}
    store.forget("https://a.example")
    assert store.load("https://a.example") == {}


@pytest.mark.parametrize("content", ["", "[]", "{", '{"origin": "https://b.example"}'])
def test_broken_sessions_are_no_sessions(tmp_path: Path, content: str) -> None:
    store = SessionStore(tmp_path)
    store.save("https://a.example", {"session": "secret"})
    (kept,) = tmp_path.iterdir()
    kept.write_text(content)
    assert store.load("https://a.example") == {}


def test_a_session_that_others_can_write_is_not_trusted(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    store.save("https://a.example", {"session": "secret"})
    (kept,) = tmp_path.iterdir()
    kept.chmod(0o666)
    assert store.load("https://a.example") == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_session_is_resumed(portal: SmallPortal, host: str) -> None:
    with Portal(portal.url.replace("127.0.0.1", host)) as site:
        site.resume({"portal_session": "secret"})
        site.session()
    ((_, _, headers),) = portal.requests
    assert headers["Cookie"] == "portal_session=secret"


def test_the_portal_may_change_and_end_the_session(portal: SmallPortal) -> None:
    given = {"Set-Cookie": "portal_session=fresh; HttpOnly; SameSite=Strict; Path=/"}
    state = (200, "application/json", b'{"state": "none"}')
    with Portal(portal.url) as site:
        site.resume({"portal_session": "old"})
        portal.broken = (*state, given)
        site.session()
        assert site.cookies == {"portal_session": "fresh"}
        portal.broken = (*state, {"Set-Cookie": 'portal_session=""; Max-Age=0; Path=/'})
        site.session()
        assert portal.requests[-1][2]["Cookie"] == "portal_session=fresh"
        assert site.cookies == {}

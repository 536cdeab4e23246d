"""Our client at OpenSSL's own CMP test server."""

import subprocess
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from openssl_cmp_server import CMC_CA, LittleCa, openssl_server
from renewal_parties import new_key
from softhsm_key import MODULE
from software_token import PrivateKey, SoftwareToken

from ukey_client.errors import Unreachable
from ukey_client.renewal import (
    CertificateUnacceptable,
    RenewalPending,
    RenewalRefused,
    RenewalUnconfirmed,
    ResponseUntrusted,
    Terms,
    renew,
)
from ukey_client.token import HeldCertificate, open_token


@pytest.fixture(scope="module")
def ca() -> LittleCa:
    return LittleCa.found()


def new_holder(
    ca: LittleCa, kind: str = "p256"
) -> tuple[SoftwareToken, HeldCertificate, PrivateKey]:
    """Return a key with a certificate, and the key that its next pair will be."""
    key, following = new_key(kind), new_key(kind)
    token = SoftwareToken(next_keys=[following])
    return token, token.holds(key, ca.issue(key), "青禾"), following


@pytest.mark.parametrize("kind", ["p256", "rsa2048"])
def test_the_certificate_is_renewed(ca: LittleCa, tmp_path: Path, kind: str) -> None:
    token, old, following = new_holder(ca, kind)
    answer = ca.succeed(old.certificate, following)
    with openssl_server(tmp_path / "s", ca, answer) as url:
        new = renew(token, old, url, ca_certificates=[ca.certificate])
    assert new.certificate == answer
    assert token.certificates() == [new]


def test_without_confirmation_where_the_server_grants_it(ca: LittleCa, tmp_path: Path) -> None:
    token, old, following = new_holder(ca)
    answer = ca.succeed(old.certificate, following)
    # After one message OpenSSL serves no more: a certConf would find nobody.
    options = ("-grant_implicitconf", "-max_msgs", "1")
    with openssl_server(tmp_path / "s", ca, answer, *options) as url:
        new = renew(
            token, old, url, ca_certificates=[ca.certificate], terms=Terms(implicit_confirm=True)
        )
    assert token.certificates() == [new]


def test_a_confirmation_that_is_not_waived_is_sent(ca: LittleCa, tmp_path: Path) -> None:
    """Asked for, not granted: then it must be confirmed (RFC 9810 §5.1.1.1)."""
    token, old, following = new_holder(ca)
    answer = ca.succeed(old.certificate, following)
    terms = Terms(implicit_confirm=True)
    with openssl_server(tmp_path / "s", ca, answer, "-max_msgs", "1") as url:
        with pytest.raises(RenewalUnconfirmed):
            renew(token, old, url, ca_certificates=[ca.certificate], terms=terms)
        assert len(token.certificates()) == 2
    with openssl_server(tmp_path / "t", ca, answer) as url:
        new = renew(token, old, url, ca_certificates=[ca.certificate], terms=terms)
    assert token.certificates() == [new]


def test_a_server_that_makes_wait_is_polled(ca: LittleCa, tmp_path: Path) -> None:
    token, old, following = new_holder(ca)
    answer = ca.succeed(old.certificate, following)
    slept: list[float] = []
    options = ("-poll_count", "2", "-check_after", "7")
    with openssl_server(tmp_path / "s", ca, answer, *options) as url:
        new = renew(
            token, old, url, ca_certificates=[ca.certificate], terms=Terms(sleep=slept.append)
        )
    assert token.certificates() == [new]
    assert slept
    assert set(slept) == {7}


def test_a_server_that_makes_wait_too_long_is_left(ca: LittleCa, tmp_path: Path) -> None:
    token, old, following = new_holder(ca)
    answer = ca.succeed(old.certificate, following)
    options = ("-poll_count", "9", "-check_after", "3600")
    with (
        openssl_server(tmp_path / "s", ca, answer, *options) as url,
        pytest.raises(RenewalPending) as caught,
    ):
        renew(token, old, url, ca_certificates=[ca.certificate])
    assert caught.value.seconds == 3600
    assert token.certificates() == [old]
    assert set(token.private) == {old.id}


@pytest.mark.parametrize(
    ("options", "bits", "words"),
    [
        (("-pkistatus", "2", "-failure", "10"), {"certRevoked"}, "吊销"),
        (
            ("-pkistatus", "2", "-failure", "20", "-statusstring", "不认识"),
            {"signerNotTrusted"},
            "不认识",
        ),
        (("-pkistatus", "2", "-failure", "3"), {"badTime"}, "时间"),
        (("-pkistatus", "5"), set(), "拒绝"),
        (("-send_error",), {"badRequest"}, "拒绝"),
    ],
)
def test_a_refusal_is_told_in_chinese(
    ca: LittleCa, tmp_path: Path, options: tuple[str, ...], bits: set[str], words: str
) -> None:
    token, old, following = new_holder(ca)
    answer = ca.succeed(old.certificate, following)
    with (
        openssl_server(tmp_path / "s", ca, answer, *options) as url,
        pytest.raises(RenewalRefused) as caught,
    ):
        renew(token, old, url, ca_certificates=[ca.certificate])
    assert caught.value.fail_info == bits
    assert words in caught.value.message
    assert "原证书没有改变" in caught.value.message
    assert token.certificates() == [old]
    assert set(token.private) == set(token.public) == {old.id}


@pytest.mark.parametrize(
    "options", [("-send_unprotected",), ("-pkistatus", "2", "-send_unprot_err")]
)
def test_an_unprotected_answer_is_not_believed(
    ca: LittleCa, tmp_path: Path, options: tuple[str, ...]
) -> None:
    token, old, following = new_holder(ca)
    answer = ca.succeed(old.certificate, following)
    with (
        openssl_server(tmp_path / "s", ca, answer, *options) as url,
        pytest.raises(ResponseUntrusted),
    ):
        renew(token, old, url, ca_certificates=[ca.certificate])
    assert token.certificates() == [old]


@pytest.mark.parametrize("who", ["cmp signer", "holder", "stranger", "encipherer"])
def test_only_whom_the_ca_lets_speak_is_believed(ca: LittleCa, tmp_path: Path, who: str) -> None:
    key = new_key("p256")
    signers = {
        "cmp signer": lambda: ca.issue(key, owner="CMP", usages=(CMC_CA,)),
        "holder": lambda: ca.issue(key, owner="另一单位"),
        "stranger": lambda: LittleCa.found("Little CA").issue(key, usages=(CMC_CA,)),
        "encipherer": lambda: ca.issue(key, owner="CMP", usages=(CMC_CA,), signing=False),
    }
    token, old, following = new_holder(ca)
    answer = ca.succeed(old.certificate, following)
    signer = (key, signers[who]())
    with openssl_server(tmp_path / "s", ca, answer, signer=signer) as url:
        if who == "cmp signer":
            new = renew(token, old, url, ca_certificates=[ca.certificate])
            assert token.certificates() == [new]
        else:
            with pytest.raises(ResponseUntrusted):
                renew(token, old, url, ca_certificates=[ca.certificate])
            assert token.certificates() == [old]


def test_a_pinned_server_is_believed(ca: LittleCa, tmp_path: Path) -> None:
    key = new_key("p256")
    server = LittleCa.found("Other CA").issue(key, owner="CMP")
    token, old, following = new_holder(ca)
    answer = ca.succeed(old.certificate, following)
    with openssl_server(tmp_path / "s", ca, answer, signer=(key, server)) as url:
        new = renew(token, old, url, ca_certificates=[ca.certificate, server])
    assert token.certificates() == [new]


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"owner": "别的单位"}, "单位名称"),
        ({"identifier": "91990001TE0000011Y"}, "单位标识"),
        ({"identifier": None}, "单位标识"),
        ({"days": 30}, "有效期"),
        ({"signing": False}, "不能用于签名"),
    ],
)
def test_a_certificate_that_is_not_ours_is_turned_down(
    ca: LittleCa, tmp_path: Path, wishes: dict[str, object], words: str
) -> None:
    token, old, following = new_holder(ca)
    answer = ca.succeed(old.certificate, following, **wishes)
    with openssl_server(tmp_path / "s", ca, answer) as url:
        with pytest.raises(CertificateUnacceptable) as caught:
            renew(token, old, url, ca_certificates=[ca.certificate])
        log = (tmp_path / "s" / "server.log").read_text()
    assert words in caught.value.message
    assert "certificate rejected by client" in log
    assert token.certificates() == [old]
    assert set(token.private) == {old.id}


def test_a_certificate_for_another_key_is_turned_down(ca: LittleCa, tmp_path: Path) -> None:
    token, old, _ = new_holder(ca)
    answer = ca.succeed(old.certificate, new_key("p256"))
    with (
        openssl_server(tmp_path / "s", ca, answer) as url,
        pytest.raises(CertificateUnacceptable, match="公钥"),
    ):
        renew(token, old, url, ca_certificates=[ca.certificate])
    assert token.certificates() == [old]


def test_a_certificate_of_another_ca_is_turned_down(ca: LittleCa, tmp_path: Path) -> None:
    token, old, following = new_holder(ca)
    forged = LittleCa.found().succeed(old.certificate, following)
    with (
        openssl_server(tmp_path / "s", ca, forged) as url,
        pytest.raises(CertificateUnacceptable, match="证书链"),
    ):
        renew(token, old, url, ca_certificates=[ca.certificate])
    assert token.certificates() == [old]


def test_a_server_that_is_not_there(ca: LittleCa, tmp_path: Path) -> None:
    token, old, following = new_holder(ca)
    with openssl_server(tmp_path / "s", ca, ca.succeed(old.certificate, following)) as url:
        pass
    started = time.monotonic()
    with pytest.raises(Unreachable):
        renew(token, old, url, ca_certificates=[ca.certificate])
    assert time.monotonic() - started < 30
    assert token.certificates() == [old]
    assert set(token.private) == {old.id}


def test_the_openssl_server_and_a_key_in_softhsm(
    ca: LittleCa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL hands out a certificate that is there before: so the pair is made before as well."""
    (tmp_path / "tokens").mkdir()
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    subprocess.run(
        [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            "hsm",
            "--so-pin",
            "12345678",
            "--pin",
            "123456",
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    with open_token(MODULE) as token:
        token.login("123456")
        like = HeldCertificate(b"", "青禾", ca.issue(new_key("rsa2048")).public_bytes(Encoding.DER))
        first = token.generate_pair(like)
        certificate = ca.issue(first.public_key)
        old = token.install_certificate(certificate.public_bytes(Encoding.DER), first.id, "青禾")
        following = token.generate_pair(old)
        monkeypatch.setattr(token, "generate_pair", lambda *_: following)
        answer = ca.succeed(certificate, following.public_key)
        with openssl_server(tmp_path / "s", ca, answer) as url:
            new = renew(token, old, url, ca_certificates=[ca.certificate])
        assert new.certificate == answer
        assert token.certificates() == [new]
        assert [one.id for one in token.holdings()] == [new.id]

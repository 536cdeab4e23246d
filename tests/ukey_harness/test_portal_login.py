"""单位用户登录: what the portal accepts as a login, and each thing that it refuses."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID as Extended
from portal_parties import Holder, LittleAuthority, Office, usage
from starlette.testclient import TestClient

from ukey_harness.world.portal import Limits, PortalSettings, close_portal, create_portal
from ukey_harness.world.units import Unit


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path, limits=Limits(status_seconds=2))
    yield office
    office.close()


def refusal(answer: object) -> tuple[int, str]:
    assert answer.json()["message"]  # type: ignore[attr-defined]
    return answer.status_code, answer.json()["code"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
def test_a_signed_challenge_logs_in(office: Office, kind: str) -> None:
    key = {
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    }[kind]()
    holder = office.holder(key=key)
    answer = holder.log_in()
    assert (answer.status_code, answer.json()) == (
        200,
        {"state": "bind", "unit": holder.unit.name},
    )
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert holder.client.get("/api/session").json() == {"state": "bind", "unit": holder.unit.name}


def test_the_text_names_site_origin_nonce_and_expiry(office: Office) -> None:
    first, second = office.holder().challenge(), office.holder().challenge()
    lines = first["text"].splitlines()
    assert lines[0] == office.settings.site
    assert f"origin: {office.settings.origin}" in lines
    assert f"expires: {first['expires']}" in lines
    nonces = [
        line.removeprefix("nonce: ")
        for text in (first["text"], second["text"])
        for line in text.splitlines()
        if line.startswith("nonce: ")
    ]
    assert len(set(nonces)) == 2
    assert all(len(bytes.fromhex(nonce)) == 32 for nonce in nonces)
    assert first["id"] != second["id"]


def test_a_challenge_is_good_once(office: Office) -> None:
    holder = office.holder()
    challenge = holder.challenge()
    signature = holder.sign(challenge["text"].encode())
    assert holder.hand_in(challenge["id"], signature).status_code == 200
    assert refusal(holder.hand_in(challenge["id"], signature)) == (403, "challenge_used")


def test_a_failed_try_uses_the_challenge_up(office: Office) -> None:
    holder = office.holder()
    challenge = holder.challenge()
    assert refusal(holder.hand_in(challenge["id"], b"\x30\x00")) == (403, "signature_invalid")
    good = holder.sign(challenge["text"].encode())
    assert refusal(holder.hand_in(challenge["id"], good)) == (403, "challenge_used")


def test_an_unknown_challenge_is_refused(office: Office) -> None:
    holder = office.holder()
    assert refusal(holder.hand_in("nobody-made-this", b"x")) == (403, "challenge_unknown")


def test_a_challenge_expires_by_the_clock(office: Office) -> None:
    holder = office.holder()
    challenge = holder.challenge()
    office.clock.advance(timedelta(seconds=121))
    signature = holder.sign(challenge["text"].encode())
    assert refusal(holder.hand_in(challenge["id"], signature)) == (403, "challenge_expired")


def test_a_text_of_another_origin_is_worthless(office: Office) -> None:
    holder = office.holder()
    challenge = holder.challenge()
    foreign = challenge["text"].replace(office.settings.origin, "http://evil.test")
    signature = holder.sign(foreign.encode())
    assert refusal(holder.hand_in(challenge["id"], signature)) == (403, "signature_invalid")


def test_a_client_that_shows_a_foreign_text_is_told_so(office: Office) -> None:
    holder = office.holder()
    challenge = holder.challenge()
    foreign = challenge["text"].replace(office.settings.origin, "http://evil.test")
    answer = holder.hand_in(challenge["id"], holder.sign(foreign.encode()), text=foreign)
    assert refusal(answer) == (403, "origin_mismatch")


def test_a_challenge_does_not_move_to_another_origin(office: Office) -> None:
    holder = office.holder()
    challenge = holder.challenge()
    here = office.settings
    moved = create_portal(
        PortalSettings("http://portal.test:9090", here.folder, here.clock, here.trust_roots)
    )
    client = TestClient(
        moved, base_url="http://portal.test:9090", headers={"X-Requested-With": "ukeylab"}
    )
    other = Holder(holder.unit, holder.key, holder.certificate, client, office.authority)
    answer = other.hand_in(challenge["id"], holder.sign(challenge["text"].encode()))
    close_portal(moved)
    assert refusal(answer) == (403, "origin_mismatch")


DETACHED, BINARY = pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ((BINARY,), "夹带"),
        ((DETACHED, BINARY, pkcs7.PKCS7Options.NoAttributes), "签名属性"),
        ((DETACHED, BINARY, pkcs7.PKCS7Options.NoCerts), "格式"),
    ],
)
def test_signatures_of_another_form_are_refused(
    office: Office, options: tuple[pkcs7.PKCS7Options, ...], fault: str
) -> None:
    holder = office.holder()
    challenge = holder.challenge()
    signature = holder.sign(challenge["text"].encode(), options)
    answer = holder.hand_in(challenge["id"], signature)
    assert refusal(answer) == (403, "signature_invalid")
    assert fault in answer.json()["message"]


@pytest.mark.parametrize(
    "garbage", [b"", b"\x00" * 64, b"0\x80", b"-----BEGIN PKCS7-----", b"\x30\x00"]
)
def test_garbage_is_no_signature(office: Office, garbage: bytes) -> None:
    holder = office.holder()
    answer = holder.hand_in(holder.challenge()["id"], garbage)
    assert answer.json()["code"] in {"signature_invalid", "bad_request"}
    assert answer.status_code in {400, 403}


def test_no_broken_byte_breaks_the_portal(office: Office) -> None:
    holder = office.holder()
    signature = holder.sign(holder.challenge()["text"].encode())
    portal = office.app.state.portal
    for place in range(0, len(signature), 97):
        challenge = portal.challenges.make()
        good = bytearray(holder.sign(challenge.text.encode()))
        good[min(place, len(good) - 1)] ^= 0x55
        answer = holder.hand_in(challenge.id, bytes(good))
        # A few bytes are outside the signature (CMS version ...): those may pass.
        assert answer.status_code in {200, 403}, (place, answer.json())


def test_two_signers_are_refused(office: Office) -> None:
    holder, other = office.holder(), office.holder(1)
    challenge = holder.challenge()
    builder = pkcs7.PKCS7SignatureBuilder().set_data(challenge["text"].encode())
    for one in (holder, other):
        builder = builder.add_signer(one.certificate, one.key, hashes.SHA256())
    signature = builder.sign(serialization.Encoding.DER, [DETACHED, BINARY])
    assert refusal(holder.hand_in(challenge["id"], signature)) == (403, "signature_invalid")


def test_a_certificate_put_in_place_of_the_signers_is_refused(office: Office) -> None:
    thief, victim = office.holder(1), office.holder(0)
    challenge = thief.challenge()
    info = cms.ContentInfo.load(thief.sign(challenge["text"].encode()))
    chosen = info["content"]["certificates"]
    for place, one in enumerate(chosen):
        if one.chosen.serial_number == thief.certificate.serial_number:
            der = victim.certificate.public_bytes(serialization.Encoding.DER)
            chosen[place] = cms.CertificateChoices.load(der)
    signer = info["content"]["signer_infos"][0]["sid"].chosen
    signer["serial_number"] = victim.certificate.serial_number
    assert refusal(thief.hand_in(challenge["id"], info.dump(force=True))) == (
        403,
        "signature_invalid",
    )


def with_openssl(holder: Holder, content: bytes, folder: Path, digest: str) -> bytes:
    """Sign with the outside program, as the login page tells."""
    pem = serialization.Encoding.PEM
    (folder / "text").write_bytes(content)
    (folder / "cert.pem").write_bytes(holder.certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        holder.key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    subprocess.run(
        [
            *("openssl", "cms", "-sign", "-binary", "-md", digest, "-in", "text"),
            *("-signer", "cert.pem", "-inkey", "key.pem", "-outform", "DER", "-out", "login.p7s"),
        ],
        cwd=folder,
        check=True,
        timeout=30,
        capture_output=True,
    )
    return (folder / "login.p7s").read_bytes()


@pytest.mark.parametrize(
    ("digest", "expected"),
    [("sha256", 200), ("sha384", 200), ("sha512", 200), ("sha1", 403)],
)
def test_openssl_signs_and_sha1_is_refused(
    office: Office, tmp_path: Path, digest: str, expected: int
) -> None:
    # Without the issuing CA in the signature, the portal must know it.
    here = office.settings
    app = create_portal(
        PortalSettings(
            here.origin,
            tmp_path / "second",
            here.clock,
            here.trust_roots,
            (office.authority.issuing,),
        )
    )
    office.app = app
    holder = office.holder(key=rsa.generate_private_key(65537, 2048))
    challenge = holder.challenge()
    signature = with_openssl(holder, challenge["text"].encode(), tmp_path, digest)
    answer = holder.hand_in(challenge["id"], signature)
    assert answer.status_code == expected
    if expected == 403:
        assert refusal(answer) == (403, "signature_invalid")
        assert "SHA-256" in answer.json()["message"]


def test_a_weak_key_is_refused(office: Office) -> None:
    holder = office.holder(key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - that is the point
    assert refusal(holder.log_in()) == (403, "signature_invalid")


def test_a_foreign_authority_is_not_trusted(office: Office) -> None:
    foreign = LittleAuthority(office.clock)
    key = ec.generate_private_key(ec.SECP256R1())
    unit = Unit.example()
    certificate = foreign.issue(key.public_key(), unit)
    holder = Holder(unit, key, certificate, office.client(), foreign)
    answer = holder.log_in()
    foreign.close()
    assert refusal(answer) == (403, "chain_invalid")
    assert foreign.status.asked == []  # no stranger makes the portal send requests


def test_expired_and_not_yet_valid(office: Office) -> None:
    now = office.clock.now()
    expired = office.holder(start=now - timedelta(days=30), days=29)
    assert refusal(expired.log_in()) == (403, "certificate_expired")
    early = office.holder(start=now + timedelta(days=2))
    assert refusal(early.log_in()) == (403, "certificate_not_yet_valid")
    office.clock.advance(timedelta(days=3))
    assert early.log_in().status_code == 200


def test_a_revoked_certificate_is_refused(office: Office) -> None:
    holder = office.holder()
    office.authority.status.revoked.add(holder.certificate.serial_number)
    assert refusal(holder.log_in()) == (403, "certificate_revoked")


@pytest.mark.parametrize("ocsp", ["down", "garbage", "slow", "stale", "unknown", "replayed"])
def test_the_crl_stands_in_for_ocsp(office: Office, ocsp: str) -> None:
    office.authority.status.ocsp = ocsp
    good, bad = office.holder(), office.holder(1)
    office.authority.status.revoked.add(bad.certificate.serial_number)
    assert good.log_in().status_code == 200
    assert "/issuing.crl" in office.authority.status.asked
    assert refusal(bad.log_in()) == (403, "certificate_revoked")


@pytest.mark.parametrize(
    ("ocsp", "crl"), [("down", "down"), ("stale", "stale"), ("slow", "down"), ("replayed", "down")]
)
def test_without_a_status_nobody_gets_in(office: Office, ocsp: str, crl: str) -> None:
    holder = office.holder()
    office.authority.status.ocsp, office.authority.status.crl = ocsp, crl
    assert refusal(holder.log_in()) == (503, "status_unavailable")
    assert holder.client.get("/api/session").json() == {"state": "none"}


def test_a_revoked_issuer_takes_its_certificates_along(office: Office) -> None:
    holder = office.holder()
    office.authority.status.revoked.add(office.authority.issuing.serial_number)
    assert refusal(holder.log_in()) == (403, "chain_invalid")


@pytest.mark.parametrize(
    "changes",
    [
        {"key_usage": usage("key_encipherment")},
        {"key_usage": usage("content_commitment")},
        {"extended": (Extended.SERVER_AUTH,)},
        {"ca": True, "key_usage": usage("digital_signature", "key_cert_sign")},
    ],
)
def test_certificates_for_other_uses_are_refused(
    office: Office, changes: dict[str, object]
) -> None:
    assert refusal(office.holder(**changes).log_in()) == (403, "usage_invalid")


def test_extended_usage_may_be_absent(office: Office) -> None:
    assert office.holder(extended=None).log_in().status_code == 200


def test_an_unknown_critical_extension_is_refused(office: Office) -> None:
    extra = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    assert refusal(office.holder(extra=extra).log_in()) == (403, "chain_invalid")


@pytest.mark.parametrize("identifier", [None, "", "   "])
def test_a_certificate_without_the_units_identifier(office: Office, identifier: str | None) -> None:
    assert refusal(office.holder(identifier=identifier).log_in()) == (403, "identifier_missing")


def test_a_browser_logs_in_with_an_uploaded_signature(office: Office) -> None:
    holder = office.holder()
    shown = holder.client.get("/login").text
    csrf = shown.split('name="csrf" value="')[1].split('"')[0]
    challenge_id = shown.split('name="id" value="')[1].split('"')[0]
    text = holder.client.get(f"/login/challenge/{challenge_id}.txt").content
    form = {"csrf": csrf, "id": challenge_id}
    bad = holder.client.post("/login", data=form, files={"signature": ("a.p7s", b"x")})
    assert bad.status_code == 403
    assert "登录未成功" in bad.text
    shown = bad.text
    challenge_id = shown.split('name="id" value="')[1].split('"')[0]
    text = holder.client.get(f"/login/challenge/{challenge_id}.txt").content
    good = holder.client.post(
        "/login",
        data={"csrf": csrf, "id": challenge_id},
        files={"signature": ("a.p7s", holder.sign(text))},
    )
    assert good.status_code == 200
    assert "登录成功" in good.text
    assert holder.client.get("/api/session").json()["state"] == "bind"
    again = holder.client.get(f"/login/challenge/{challenge_id}.txt")
    assert again.status_code == 403

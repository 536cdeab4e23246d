"""The certificate authority's certificates and rules, with openssl as the judge."""

import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from ukey_harness.world.ca import AuthorityError, CertificateAuthority
from ukey_harness.world.ca.errors import (
    CertificateRevokedError,
    PublicKeyError,
    RenewalTooEarlyError,
    RenewalTooLateError,
    RequestError,
    UnknownCertificateError,
    ValidityError,
)
from ukey_harness.world.ca.profile import HolderProfile, unit_identifier
from ukey_harness.world.clock import Clock
from ukey_harness.world.units import Unit

Writer: TypeAlias = Callable[..., Path]

URL = "http://127.0.0.1:9"
UNIT = Unit.example(3)


def openssl(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["openssl", *map(str, words)], capture_output=True, text=True, timeout=30, check=check
    )


@pytest.fixture
def ca(tmp_path: Path) -> Iterator[CertificateAuthority]:
    with CertificateAuthority.open(tmp_path / "ca", URL, Clock()) as authority:
        yield authority


@pytest.fixture
def pem(tmp_path: Path) -> Writer:
    def write(name: str, *certificates: x509.Certificate) -> Path:
        path = tmp_path / f"{name}.pem"
        path.write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in certificates))
        return path

    return write


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def test_chain_is_strictly_right(ca: CertificateAuthority, pem: Writer) -> None:
    certificate = ca.issue(new_key().public_key(), UNIT)
    root, issuing = pem("root", ca.root), pem("issuing", ca.issuing)
    judged = openssl(
        *("verify", "-x509_strict", "-check_ss_sig", "-policy_check", "-purpose", "sslclient"),
        *("-CAfile", root, "-untrusted", issuing, pem("unit", certificate)),
    )
    assert judged.stdout.strip().endswith("unit.pem: OK")
    assert certificate.verify_directly_issued_by(ca.issuing) is None
    assert ca.chain() == [ca.issuing, ca.root]


@pytest.mark.parametrize(
    ("role", "purpose"), [("tsa", "timestampsign"), ("ocsp", "ocsphelper"), ("cmp", "any")]
)
def test_services_certificates_are_strictly_right(
    ca: CertificateAuthority, pem: Writer, role: str, purpose: str
) -> None:
    root, issuing = pem("root", ca.root), pem("issuing", ca.issuing)
    certificate = pem(role, ca.identity(role).certificate)
    words = ("-purpose", purpose, "-CAfile", root, "-untrusted", issuing, certificate)
    assert openssl("verify", "-x509_strict", *words).stdout.strip().endswith("OK")


def test_profile_of_a_units_certificate(ca: CertificateAuthority, pem: Writer) -> None:
    certificate = ca.issue(new_key().public_key(), UNIT, days=30)
    text = openssl(
        *("x509", "-noout", "-text", "-nameopt", "utf8,sep_comma_plus", "-in"),
        pem("unit", certificate),
    ).stdout
    lines = [line.strip() for line in text.splitlines()]
    subject = f"C=CN,O={UNIT.name},serialNumber={UNIT.identifier},CN={UNIT.name}"
    assert f"Subject: {subject}" in lines
    assert lines[lines.index("X509v3 Key Usage: critical") + 1] == (
        "Digital Signature, Non Repudiation"
    )
    assert "TLS Web Client Authentication" in text
    assert lines[lines.index("1.2.156.112586.1.4:") + 1].endswith(UNIT.identifier)
    assert f"OCSP - URI:{URL}/ocsp" in lines
    assert f"CA Issuers - URI:{URL}/certs/issuing.crt" in lines
    assert f"URI:{URL}/crl/issuing.crl" in lines
    identifier = certificate.extensions.get_extension_for_oid(
        x509.ObjectIdentifier("1.2.156.112586.1.4")
    )
    assert not identifier.critical
    assert identifier.value.value == b"\x0c\x12" + UNIT.identifier.encode()
    assert unit_identifier(certificate) == UNIT.identifier
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=30)
    key_identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert key_identifier.value == x509.SubjectKeyIdentifier.from_public_key(
        certificate.public_key()
    )


def test_everything_says_that_it_is_for_tests(ca: CertificateAuthority) -> None:
    for certificate in (ca.root, ca.issuing, ca.identity("tsa").certificate):
        assert "仅供测试" in certificate.subject.rfc4514_string()


def test_lesser_profiles_are_to_be_had_for_tests(ca: CertificateAuthority) -> None:
    profile = HolderProfile(
        digital_signature=False, key_encipherment=True, unit_identifier=False, extended_usages=()
    )
    certificate = ca.issue(new_key().public_key(), UNIT, profile=profile)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_encipherment) == (False, True)
    assert unit_identifier(certificate) is None


def test_a_name_of_64_characters_is_certified_whole(ca: CertificateAuthority, pem: Writer) -> None:
    unit = Unit("测" * 64, UNIT.identifier, "1")
    certificate = pem("long", ca.issue(new_key().public_key(), unit))
    words = ("-noout", "-subject", "-nameopt", "utf8", "-in", certificate)
    assert openssl("x509", *words).stdout.count("测") == 128


def test_request_proves_possession(ca: CertificateAuthority) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    names = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "someone else")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(names)
    request = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    certificate = ca.issue_from_request(request, UNIT)
    assert certificate.public_key() == key.public_key()
    assert "someone else" not in certificate.subject.rfc4514_string()

    forged = request[:-1] + bytes([request[-1] ^ 1])
    with pytest.raises(RequestError, match="does not verify"):
        ca.issue_from_request(forged, UNIT)
    with pytest.raises(RequestError, match="not a PKCS#10"):
        ca.issue_from_request(b"garbage", UNIT)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (lambda: rsa.generate_private_key(public_exponent=65537, key_size=1024), "1024 bits"),  # noqa: S505
        (lambda: ec.generate_private_key(ec.SECP256K1()), "secp256k1"),
        (ed25519.Ed25519PrivateKey.generate, "Ed25519"),
    ],
)
def test_keys_that_are_not_certified(
    ca: CertificateAuthority, key: Callable[[], CertificateIssuerPrivateKeyTypes], words: str
) -> None:
    with pytest.raises(PublicKeyError, match=words):
        ca.issue(key().public_key(), UNIT)


def test_validity_stays_within_the_issuing_cas(ca: CertificateAuthority) -> None:
    key, now = new_key().public_key(), ca.clock.now()
    past = ca.issue(key, UNIT, days=30, not_before=now - timedelta(days=900))
    assert past.not_valid_after_utc < now
    for days, start in ((0, now), (30, now - timedelta(days=6 * 365)), (21 * 365, now)):
        with pytest.raises(ValidityError):
            ca.issue(key, UNIT, days=days, not_before=start)


def test_renewal_extends_from_the_old_expiry(ca: CertificateAuthority, pem: Writer) -> None:
    old = ca.issue(new_key().public_key(), UNIT, days=100)
    key = new_key()
    ca.clock.advance(timedelta(days=40))
    new = ca.renew(old, key.public_key())
    assert new.not_valid_after_utc == old.not_valid_after_utc + timedelta(days=365)
    assert abs(new.not_valid_before_utc - ca.clock.now()) < timedelta(seconds=10)
    assert new.public_key() == key.public_key()
    assert new.subject == old.subject
    assert new.serial_number != old.serial_number
    for kind in (x509.KeyUsage, x509.ExtendedKeyUsage, x509.BasicConstraints):
        assert new.extensions.get_extension_for_class(
            kind
        ) == old.extensions.get_extension_for_class(kind)
    assert unit_identifier(new) == UNIT.identifier
    assert not ca.is_revoked(old.serial_number)
    at = str(int(ca.clock.now().timestamp()) + 60)
    words = ("-attime", at, "-CAfile", pem("root", ca.root), "-untrusted", pem("i", ca.issuing))
    assert openssl("verify", "-x509_strict", *words, pem("new", new)).stdout.strip().endswith("OK")


def test_renewal_of_an_expired_certificate_counts_from_now(ca: CertificateAuthority) -> None:
    old = ca.issue(new_key().public_key(), UNIT, days=10)
    ca.clock.advance(timedelta(days=300))
    new = ca.renew(old, new_key().public_key())
    assert new.not_valid_after_utc == new.not_valid_before_utc + timedelta(days=365)
    ca.clock.advance(timedelta(days=80))
    with pytest.raises(RenewalTooLateError, match="365 days"):
        ca.renew(old, new_key().public_key())


def test_renewal_refuses_the_revoked_and_the_foreign(
    ca: CertificateAuthority, tmp_path: Path
) -> None:
    old = ca.issue(new_key().public_key(), UNIT)
    ca.revoke(old.serial_number, "keyCompromise")
    with pytest.raises(CertificateRevokedError):
        ca.renew(old, new_key().public_key())
    with CertificateAuthority.open(tmp_path / "other", URL, Clock()) as other:
        foreign = other.issue(new_key().public_key(), UNIT)
    with pytest.raises(UnknownCertificateError):
        ca.renew(foreign, new_key().public_key())
    with pytest.raises(UnknownCertificateError):
        ca.renew(ca.identity("tsa").certificate, new_key().public_key())


def test_renewal_window_before_expiry_can_be_set(ca: CertificateAuthority) -> None:
    old = ca.issue(new_key().public_key(), UNIT, days=365)
    ca.renewable_before = timedelta(days=90)
    with pytest.raises(RenewalTooEarlyError):
        ca.renew(old, new_key().public_key())
    ca.clock.advance(timedelta(days=276))
    assert ca.renew(old, new_key().public_key()).subject == old.subject


def test_revocation_happens_once_and_with_a_known_reason(ca: CertificateAuthority) -> None:
    certificate = ca.issue(new_key().public_key(), UNIT)
    serial = certificate.serial_number
    with pytest.raises(AuthorityError, match="keyCompromise"):
        ca.revoke(serial, "lost")
    with pytest.raises(AuthorityError, match="not taken back"):
        ca.revoke(serial, "removeFromCRL")
    assert not ca.is_revoked(serial)
    ca.revoke(serial)
    assert ca.is_revoked(serial)
    with pytest.raises(CertificateRevokedError):
        ca.revoke(serial, "superseded")
    with pytest.raises(UnknownCertificateError):
        ca.revoke(12345)
    with pytest.raises(UnknownCertificateError):
        ca.is_revoked(12345)


def test_authority_is_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    with CertificateAuthority.open(folder, URL, Clock()) as ca:
        root, chain = ca.root, ca.chain()
        certificate = ca.issue(new_key().public_key(), UNIT)
        ca.revoke(certificate.serial_number, x509.ReasonFlags.key_compromise)
    with CertificateAuthority.open(folder, URL, Clock()) as ca:
        assert ca.root == root
        assert ca.chain() == chain
        entry = ca.register.find(certificate.serial_number)
        assert entry is not None
        assert entry.certificate == certificate
        assert entry.unit == UNIT
        assert entry.reason is x509.ReasonFlags.key_compromise
        assert ca.is_revoked(certificate.serial_number)
        assert [held.serial for held in ca.register.holders()] == [certificate.serial_number]


def test_files_are_the_owners_alone(ca: CertificateAuthority, tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    paths = [folder, *folder.rglob("*")]
    assert len(paths) >= 8
    for path in paths:
        assert path.stat().st_mode & 0o077 == 0, path
    assert ca.root is not None


@pytest.mark.parametrize("damage", ["register", "key", "missing key", "other key"])
def test_damaged_files_are_named(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "ca"
    CertificateAuthority.open(folder, URL, Clock()).close()
    match damage:
        case "register":
            (folder / "ca.sqlite").write_bytes(b"no database" * 100)
        case "key":
            (folder / "keys" / "issuing.pem").write_bytes(b"no key")
        case "missing key":
            (folder / "keys" / "root.pem").unlink()
        case "other key":
            (folder / "keys" / "root.pem").replace(folder / "keys" / "issuing.pem")
    with pytest.raises(AuthorityError, match="cannot be opened"):
        CertificateAuthority.open(folder, URL, Clock())


def test_authority_does_not_move(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    CertificateAuthority.open(folder, URL, Clock()).close()
    with pytest.raises(AuthorityError, match="cannot move"):
        CertificateAuthority.open(folder, "http://127.0.0.1:10", Clock())

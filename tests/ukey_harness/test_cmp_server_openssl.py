"""OpenSSL's CMP client at the authority's CMP server."""

import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from cmp_party import CmpParty, Holder, OpensslClient, new_key
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from ukey_client.renewal.cmp.encode import encode
from ukey_client.renewal.cmp.message import Header, PkiConf
from ukey_harness.world.ca import CertificateAuthority
from ukey_harness.world.units import Unit


@pytest.fixture(scope="module")
def party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CmpParty]:
    with CmpParty(tmp_path_factory.mktemp("ca"), serve=True) as party:
        yield party


@pytest.fixture
def client_of(party: CmpParty, tmp_path: Path) -> Callable[[Holder], OpensslClient]:
    def make(holder: Holder) -> OpensslClient:
        client = OpensslClient(tmp_path / "client", party, holder)
        client.write_key("new", new_key())
        return client

    return make


def check_renewed(party: CmpParty, client: OpensslClient) -> x509.Certificate:
    """Check the certificate that was received, also with `openssl verify`."""
    old, new = client.holder.certificate, client.result()
    assert new is not None
    assert new.subject == old.subject
    assert new.serial_number != old.serial_number
    assert new.not_valid_after_utc > old.not_valid_after_utc
    assert not party.ca.is_revoked(new.serial_number)
    verified = subprocess.run(
        ["openssl", "verify", "-CAfile", "root.crt", "-untrusted", "issuing.crt", "out.crt"],
        cwd=client.folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert verified.stdout == "out.crt: OK\n", verified.stderr
    return new


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa2048"])
def test_kur(party: CmpParty, client_of: Callable[[Holder], OpensslClient], kind: str) -> None:
    client = client_of(party.holder(kind))
    key = new_key(kind)
    client.write_key("new", key)
    code, said = client.run("kur", "-newkey", "new.key")
    assert code == 0, said
    assert "received PKICONF" in said
    assert check_renewed(party, client).public_key() == key.public_key()


@pytest.mark.parametrize("cmd", ["ir", "cr"])
def test_ir_and_cr_by_a_holder(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient], cmd: str
) -> None:
    client = client_of(party.holder())
    code, said = client.run(cmd, "-newkey", "new.key")
    assert code == 0, said
    check_renewed(party, client)


def test_p10cr(party: CmpParty, client_of: Callable[[Holder], OpensslClient]) -> None:
    client = client_of(party.holder())
    key = new_key("rsa2048")
    write_request(client, client.holder.certificate.subject, key)
    client.write_key("new", key)
    code, said = client.run("p10cr", "-csr", "new.csr", "-newkey", "new.key")
    assert code == 0, said
    assert check_renewed(party, client).public_key() == key.public_key()


def test_p10cr_for_someone_else_is_refused(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient]
) -> None:
    client = client_of(party.holder())
    write_request(client, party.holder().certificate.subject, new_key())
    check_refused(client.run("p10cr", "-csr", "new.csr"), "badCertTemplate", client)


@pytest.mark.parametrize("digest", ["sha384", "sha512"])
def test_other_hashes(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient], digest: str
) -> None:
    client = client_of(party.holder("rsa2048"))
    code, said = client.run("kur", "-newkey", "new.key", "-digest", digest)
    assert code == 0, said
    check_renewed(party, client)


def test_a_weak_hash_is_refused(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient]
) -> None:
    client = client_of(party.holder("rsa2048"))
    check_refused(client.run("kur", "-newkey", "new.key", "-digest", "sha1"), "badAlg", client)


def test_implicit_confirmation(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient]
) -> None:
    client = client_of(party.holder())
    code, said = client.run("kur", "-newkey", "new.key", "-implicit_confirm")
    assert code == 0, said
    assert "CERTCONF" not in said
    new = check_renewed(party, client)
    party.clock.advance(timedelta(hours=1))
    try:
        wake(party)
        assert not party.ca.is_revoked(new.serial_number)
    finally:
        party.clock.reset()


def test_an_unconfirmed_certificate_is_revoked(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient]
) -> None:
    client = client_of(party.holder())
    code, said = client.run("kur", "-newkey", "new.key", "-disable_confirm")
    assert code == 0, said
    new = client.result()
    assert new is not None
    assert not party.ca.is_revoked(new.serial_number)
    party.clock.advance(timedelta(hours=1))
    try:
        wake(party)
        assert party.ca.is_revoked(new.serial_number)
    finally:
        party.clock.reset()


def wake(party: CmpParty) -> None:
    """Send a message: with each of them what is overdue is revoked, whatever becomes of it."""
    httpx2.post(
        f"{party.url}/cmp",
        content=encode(Header(None, None), PkiConf(), party.holder().protector),
        headers={"Content-Type": "application/pkixcmp"},
        timeout=10,
    ).raise_for_status()


@pytest.mark.parametrize(
    ("age", "days"), [(timedelta(days=40), 30), (timedelta(days=390), 30)], ids=["soon", "late"]
)
def test_an_expired_certificate_within_a_year(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient], age: timedelta, days: int
) -> None:
    client = client_of(party.holder(age=age, days=days))
    code, said = client.run("kur", "-newkey", "new.key")
    assert code == 0, said
    check_renewed(party, client)


def check_refused(outcome: tuple[int, str], failure: str, client: OpensslClient) -> None:
    code, said = outcome
    assert code != 0
    assert f"PKIFailureInfo: {failure}" in said
    assert client.result() is None


def test_a_certificate_expired_too_long_ago_is_refused(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient]
) -> None:
    client = client_of(party.holder(age=timedelta(days=400), days=30))
    outcome = client.run("kur", "-newkey", "new.key")
    check_refused(outcome, "badRequest", client)
    assert "more than 365 days ago" in outcome[1]


def test_a_certificate_that_has_not_begun_is_refused(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient]
) -> None:
    client = client_of(party.holder(age=timedelta(days=-3)))
    check_refused(client.run("kur", "-newkey", "new.key"), "signerNotTrusted", client)


def test_a_revoked_certificate_is_refused(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient]
) -> None:
    client = client_of(party.holder())
    party.ca.revoke(client.holder.certificate.serial_number)
    check_refused(client.run("kur", "-newkey", "new.key"), "certRevoked", client)


def test_a_certificate_too_far_from_its_end_is_refused(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient]
) -> None:
    client = client_of(party.holder(days=200))
    party.ca.renewable_before = timedelta(days=90)
    try:
        outcome = client.run("kur", "-newkey", "new.key")
    finally:
        party.ca.renewable_before = None
    check_refused(outcome, "badRequest", client)
    assert "can be renewed from" in outcome[1]


def test_a_certificate_of_another_authority_is_refused(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient], tmp_path: Path
) -> None:
    """Even if that authority bears the same names."""
    key = new_key()
    with CertificateAuthority.open(tmp_path / "other", party.url, party.clock) as other:
        certificate = other.issue(key.public_key(), Unit.example(7))
    client = client_of(Holder(key, certificate))
    check_refused(client.run("kur", "-newkey", "new.key"), "signerNotTrusted", client)


def test_a_service_of_the_authority_is_no_holder(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient]
) -> None:
    identity = party.ca.identity("tsa")
    client = client_of(Holder(identity.key, identity.certificate))
    check_refused(client.run("kur", "-newkey", "new.key"), "signerNotTrusted", client)


def test_the_certificate_of_another_holder_cannot_be_renewed(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient]
) -> None:
    client = client_of(party.holder())
    client.write_certificate("theirs", party.holder().certificate)
    subject = ("-subject", openssl_name(client.holder.certificate.subject))
    outcome = client.run("kur", "-newkey", "new.key", "-oldcert", "theirs.crt", *subject)
    check_refused(outcome, "badCertId", client)


@pytest.mark.parametrize("popo", ["-1", "0"], ids=["none", "raVerified"])
def test_possession_must_be_proved(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient], popo: str
) -> None:
    client = client_of(party.holder())
    check_refused(client.run("kur", "-newkey", "new.key", "-popo", popo), "badPOP", client)


def test_a_mac_is_no_signature(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient]
) -> None:
    client = client_of(party.holder())
    secret = ("-ref", "1234", "-secret", "pass:secret")
    outcome = client.run("ir", "-newkey", "new.key", "-subject", "/CN=x", protect=secret)
    check_refused(outcome, "wrongIntegrity", client)


def test_an_unprotected_request_is_refused(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient]
) -> None:
    client = client_of(party.holder())
    outcome = client.run("kur", "-newkey", "new.key", "-unprotected_requests")
    check_refused(outcome, "badMessageCheck", client)


def test_a_wrong_clock_is_told(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient]
) -> None:
    client = client_of(party.holder())
    party.clock.advance(timedelta(hours=2))
    try:
        outcome = client.run("kur", "-newkey", "new.key")
    finally:
        party.clock.reset()
    check_refused(outcome, "badTime", client)


@pytest.mark.parametrize(
    "request_",
    [("rr", "-oldcert", "old.crt", "-revreason", "1"), ("genm", "-infotype", "currentCRL")],
)
def test_what_is_not_served_gets_a_clean_answer(
    party: CmpParty, client_of: Callable[[Holder], OpensslClient], request_: tuple[str, ...]
) -> None:
    client = client_of(party.holder())
    check_refused(client.run(*request_), "badRequest", client)


def write_request(client: OpensslClient, subject: x509.Name, key: object) -> None:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
    (client.folder / "new.csr").write_bytes(request.public_bytes(Encoding.PEM))


def openssl_name(name: x509.Name) -> str:
    """Write a name as `openssl -subject` takes it."""
    short = {"C": "C", "O": "O", "CN": "CN", "2.5.4.5": "serialNumber"}
    return "".join(
        f"/{short[one.rfc4514_attribute_name]}={one.value}" for rdn in name.rdns for one in rdn
    )

"""What the authority's CMP server checks, message by message (RFC 9483 §3.5, §4.1)."""

import dataclasses
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from cmp_party import CmpParty, Holder, new_key
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_client.renewal.cmp.decode import decode
from ukey_client.renewal.cmp.encode import encode, nonce
from ukey_client.renewal.cmp.message import (
    CertConf,
    CertRep,
    CertStatus,
    ErrorMsg,
    General,
    Message,
    PkiConf,
    PKIStatus,
    PollReq,
    SignatureAlgorithm,
    rejected,
)
from ukey_client.renewal.cmp.protection import digest


@pytest.fixture(scope="module")
def party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CmpParty]:
    with CmpParty(tmp_path_factory.mktemp("ca")) as party:
        yield party


@pytest.fixture(autouse=True)
def _clock(party: CmpParty) -> Iterator[None]:
    yield
    party.clock.reset()


def failure(answer: Message) -> str:
    """Return the one bit of failInfo of a refusal, whether of a request or of a message."""
    body = answer.body
    assert isinstance(body, ErrorMsg | CertRep)
    assert body.status.status is PKIStatus.REJECTION
    assert body.status.text
    if isinstance(body, CertRep):
        assert body.certificate is None
    (bit,) = body.status.fail_info
    return bit


def issued(answer: Message) -> x509.Certificate:
    assert isinstance(answer.body, CertRep)
    assert answer.body.status.status is PKIStatus.ACCEPTED
    assert answer.body.certificate is not None
    return x509.load_der_x509_certificate(answer.body.certificate)


def confirmation(certificate: x509.Certificate, **changes: Any) -> CertConf:
    status = CertStatus(digest("sha256", certificate.public_bytes(Encoding.DER)), 0)
    return CertConf((dataclasses.replace(status, **changes),))


# --- the header -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "bit"),
    [
        ({"pvno": 1}, "unsupportedVersion"),
        ({"pvno": 4}, "unsupportedVersion"),
        ({"transaction_id": None}, "badDataFormat"),
        ({"transaction_id": b""}, "badDataFormat"),
        ({"sender_nonce": None}, "badSenderNonce"),
        ({"sender_nonce": b"short"}, "badSenderNonce"),
        ({"sender": None}, "badMessageCheck"),
        ({"sender_kid": b"\1" * 20}, "badMessageCheck"),
    ],
)
def test_a_wrong_header_is_refused(party: CmpParty, changes: dict[str, Any], bit: str) -> None:
    holder = party.holder()
    header = holder.header(party.clock, **changes)
    answer = decode(party.responder.answer(encode(header, holder.kur(), holder.protector)))
    party.check(answer)
    assert failure(answer) == bit


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_wrong_time_is_refused(party: CmpParty, minutes: int) -> None:
    holder = party.holder()
    time = party.clock.now() + timedelta(minutes=minutes)
    assert failure(party.ask(holder, holder.kur(), message_time=time)) == "badTime"


def test_a_message_without_time_is_taken(party: CmpParty) -> None:
    holder = party.holder()
    issued(party.ask(holder, holder.kur(), message_time=None))


def test_the_sender_must_be_the_signer(party: CmpParty) -> None:
    holder, other = party.holder(), party.holder()
    sender = other.certificate.subject.public_bytes()
    assert failure(party.ask(holder, holder.kur(), sender=sender)) == "badMessageCheck"


def test_version_3_is_answered_in_version_3(party: CmpParty) -> None:
    holder = party.holder()
    assert party.ask(holder, holder.kur(), pvno=3).header.pvno == 3


# --- the protection -------------------------------------------------------------------------


def test_a_changed_message_is_refused(party: CmpParty) -> None:
    holder = party.holder()
    request = holder.kur()
    good = encode(holder.header(party.clock), request, holder.protector)
    assert request.public_key is not None
    point = request.public_key[-64:]
    last = good.index(point) + len(point) - 1
    changed = good[:last] + bytes([good[last] ^ 1]) + good[last + 1 :]
    answer = decode(party.responder.answer(changed))
    party.check(answer)
    assert failure(answer) == "badMessageCheck"


def test_a_signature_of_another_key_is_refused(party: CmpParty) -> None:
    holder = party.holder()
    thief = Holder(new_key(), holder.certificate)
    assert failure(party.ask(thief, holder.kur())) == "badMessageCheck"


@pytest.mark.parametrize(
    "algorithm",
    [SignatureAlgorithm("rsassa_pkcs1v15", "sha256"), SignatureAlgorithm("ecdsa", "sha1")],
)
def test_an_algorithm_that_is_not_the_keys_is_refused(
    party: CmpParty, algorithm: SignatureAlgorithm
) -> None:
    holder = party.holder()
    protector = dataclasses.replace(holder.protector, algorithm=algorithm)
    header = holder.header(party.clock)
    answer = decode(party.responder.answer(encode(header, holder.kur(), protector)))
    assert failure(answer) == "badAlg"


def test_a_kur_must_bring_its_certificate(party: CmpParty) -> None:
    holder = party.holder()
    protector = dataclasses.replace(holder.protector, extra_certs=())
    header = holder.header(party.clock)
    answer = decode(party.responder.answer(encode(header, holder.kur(), protector)))
    assert failure(answer) == "signerNotTrusted"


def test_a_revoked_holder_is_not_heard(party: CmpParty) -> None:
    holder = party.holder()
    party.ca.revoke(holder.certificate.serial_number)
    question = General("genm", (("ca_certs", None),))
    assert failure(party.ask(holder, question)) == "certRevoked"
    assert failure(party.ask(holder, holder.kur())) == "certRevoked"


def test_a_forged_certificate_is_not_believed(party: CmpParty) -> None:
    """It bears names and serial number of a good one, and is signed by another key."""
    good = party.holder().certificate
    key, forger = new_key(), new_key()
    forged = (
        x509.CertificateBuilder(good.issuer, good.subject, key.public_key(), good.serial_number)
        .not_valid_before(good.not_valid_before_utc)
        .not_valid_after(good.not_valid_after_utc)
        .sign(forger, hashes.SHA256())
    )
    thief = Holder(key, forged)
    question = General("genm", (("ca_certs", None),))
    assert failure(party.ask(thief, question)) == "signerNotTrusted"
    assert failure(party.ask(thief, thief.kur())) == "signerNotTrusted"


# --- the request ----------------------------------------------------------------------------


def test_the_holder_gets_a_successor(party: CmpParty) -> None:
    holder, key = party.holder(), new_key("p384")
    answer = party.ask(holder, holder.kur(key))
    certificate = issued(answer)
    assert certificate.public_key() == key.public_key()
    assert certificate.subject == holder.certificate.subject
    assert answer.header.confirm_wait_time == party.clock.now() + timedelta(minutes=10)
    assert not answer.header.implicit_confirm
    assert isinstance(party.ask(holder, confirmation(certificate)).body, PkiConf)
    party.clock.advance(timedelta(hours=1))
    party.ask(party.holder(), General("genm", (("ca_certs", None),)))
    assert not party.ca.is_revoked(certificate.serial_number)


def test_the_proof_of_possession_must_be_of_the_new_key(party: CmpParty) -> None:
    holder = party.holder()
    request = holder.kur(sign=holder.protector.sign)
    assert failure(party.ask(holder, request)) == "badPOP"


def test_the_subject_must_be_the_holder(party: CmpParty) -> None:
    holder = party.holder()
    request = holder.kur(subject=party.holder().certificate.subject.public_bytes())
    assert failure(party.ask(holder, request)) == "badCertTemplate"


@pytest.mark.parametrize("kind", ["ed25519", "rsa1024", "dsa"])
def test_a_key_that_is_not_certified_is_refused(party: CmpParty, kind: str) -> None:
    key: Any = {
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "rsa1024": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 - it is to be refused
        "dsa": lambda: dsa.generate_private_key(2048),
    }[kind]()
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    holder = party.holder()
    answer = party.ask(holder, holder.kur(public_key=public))
    # DSA and Ed25519 cannot be told by an algorithm that is spoken here: no proof for them.
    assert failure(answer) in {"badCertTemplate", "badPOP"}


def test_a_weak_key_with_its_proof_is_refused(party: CmpParty) -> None:
    holder = party.holder()
    assert failure(party.ask(holder, holder.kur(new_key("rsa1024")))) == "badCertTemplate"


def test_a_key_that_is_none_is_refused(party: CmpParty) -> None:
    """The point (0, 1) lies on no curve."""
    good = new_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bad = good[:-64] + bytes(63) + b"\1"
    holder = party.holder()
    assert failure(party.ask(holder, holder.kur(public_key=bad))) == "badCertTemplate"


def test_a_transaction_id_serves_once(party: CmpParty) -> None:
    holder = party.holder()
    issued(party.ask(holder, holder.kur()))
    assert failure(party.ask(holder, holder.kur())) == "transactionIdInUse"
    other = party.holder()
    other.transaction_id = holder.transaction_id
    assert failure(party.ask(other, other.kur())) == "transactionIdInUse"


def test_a_replayed_request_is_refused(party: CmpParty) -> None:
    holder = party.holder()
    request = encode(holder.header(party.clock), holder.kur(), holder.protector)
    issued(decode(party.responder.answer(request)))
    assert failure(decode(party.responder.answer(request))) == "transactionIdInUse"


def test_a_wrong_cert_req_id_is_refused(party: CmpParty) -> None:
    holder = party.holder()
    good = encode(holder.header(party.clock), holder.kur(), holder.protector)
    # The CertRequest begins with certReqId 0; the protection is made anew.
    request = decode(good).body
    assert request.kind == "kur"
    signed = request.signed.replace(b"\x02\x01\x00", b"\x02\x01\x01", 1)  # type: ignore[union-attr]
    changed = dataclasses.replace(request, signed=signed)  # type: ignore[type-var]
    assert failure(party.ask(holder, changed)) == "badRequest"  # type: ignore[arg-type]


# --- the confirmation -----------------------------------------------------------------------


def test_a_rejected_certificate_is_revoked(party: CmpParty) -> None:
    holder = party.holder()
    certificate = issued(party.ask(holder, holder.kur()))
    nonce_of_kup = holder.last_nonce
    refusal = rejected("incorrectData", "not what I wanted")
    answer = party.ask(holder, confirmation(certificate, status=refusal))
    assert isinstance(answer.body, PkiConf)
    assert party.ca.is_revoked(certificate.serial_number)
    holder.last_nonce = nonce_of_kup
    assert failure(party.ask(holder, confirmation(certificate))) == "badRequest"


def test_an_empty_confirmation_accepts_nothing(party: CmpParty) -> None:
    holder = party.holder()
    certificate = issued(party.ask(holder, holder.kur()))
    assert isinstance(party.ask(holder, CertConf(())).body, PkiConf)
    assert party.ca.is_revoked(certificate.serial_number)


def test_a_clients_error_ends_the_transaction(party: CmpParty) -> None:
    holder = party.holder()
    certificate = issued(party.ask(holder, holder.kur()))
    answer = party.ask(holder, ErrorMsg(rejected("systemFailure", "the key was pulled out")))
    assert isinstance(answer.body, PkiConf)
    assert party.ca.is_revoked(certificate.serial_number)


@pytest.mark.parametrize(
    ("changes", "bit"),
    [
        ({"cert_hash": bytes(32)}, "badCertId"),
        ({"cert_hash": b""}, "badCertId"),
        ({"cert_req_id": 1}, "badRequest"),
        ({"cert_req_id": -1}, "badRequest"),
        ({"hash_alg": "sha1"}, "badAlg"),
        ({"hash_alg": "sha512"}, "badCertId"),
    ],
)
def test_a_wrong_confirmation_confirms_nothing(
    party: CmpParty, changes: dict[str, Any], bit: str
) -> None:
    holder = party.holder()
    certificate = issued(party.ask(holder, holder.kur()))
    nonce_of_kup = holder.last_nonce
    assert failure(party.ask(holder, confirmation(certificate, **changes), pvno=3)) == bit
    holder.last_nonce = nonce_of_kup
    assert isinstance(party.ask(holder, confirmation(certificate)).body, PkiConf)


def test_the_hash_may_be_another(party: CmpParty) -> None:
    holder = party.holder()
    certificate = issued(party.ask(holder, holder.kur()))
    hashed = digest("sha512", certificate.public_bytes(Encoding.DER))
    answer = party.ask(
        holder, confirmation(certificate, cert_hash=hashed, hash_alg="sha512"), pvno=3
    )
    assert isinstance(answer.body, PkiConf)


def test_a_confirmation_must_repeat_the_nonce(party: CmpParty) -> None:
    holder = party.holder()
    certificate = issued(party.ask(holder, holder.kur()))
    for wrong in (None, nonce()):
        answer = party.ask(holder, confirmation(certificate), recip_nonce=wrong)
        assert failure(answer) == "badRecipientNonce"


def test_a_confirmation_is_taken_once(party: CmpParty) -> None:
    holder = party.holder()
    certificate = issued(party.ask(holder, holder.kur()))
    nonce_of_kup = holder.last_nonce
    assert isinstance(party.ask(holder, confirmation(certificate)).body, PkiConf)
    holder.last_nonce = nonce_of_kup
    assert failure(party.ask(holder, confirmation(certificate))) == "certConfirmed"


def test_only_who_asked_can_confirm(party: CmpParty) -> None:
    holder, other = party.holder(), party.holder()
    certificate = issued(party.ask(holder, holder.kur()))
    other.transaction_id, other.last_nonce = holder.transaction_id, holder.last_nonce
    assert failure(party.ask(other, confirmation(certificate))) == "badRequest"
    other_answer = party.ask(other, ErrorMsg(rejected("systemFailure", "end it")))
    assert isinstance(other_answer.body, PkiConf)
    assert not party.ca.is_revoked(certificate.serial_number)


def test_without_a_transaction_nothing_is_confirmed(party: CmpParty) -> None:
    holder = party.holder()
    assert failure(party.ask(holder, confirmation(holder.certificate))) == "badRequest"


def test_a_late_confirmation_comes_too_late(party: CmpParty) -> None:
    holder = party.holder()
    certificate = issued(party.ask(holder, holder.kur()))
    party.clock.advance(timedelta(minutes=11))
    assert failure(party.ask(holder, confirmation(certificate))) == "badRequest"
    assert party.ca.is_revoked(certificate.serial_number)


def test_a_waived_confirmation_is_none(party: CmpParty) -> None:
    holder = party.holder()
    answer = party.ask(holder, holder.kur(), implicit_confirm=True)
    assert answer.header.implicit_confirm
    assert answer.header.confirm_wait_time is None
    assert failure(party.ask(holder, confirmation(issued(answer)))) == "certConfirmed"


def test_an_unconfirmed_certificate_cannot_speak(party: CmpParty) -> None:
    holder, key = party.holder(), new_key()
    certificate = issued(party.ask(holder, holder.kur(key)))
    new = Holder(key, certificate)
    question = General("genm", (("ca_certs", None),))
    assert failure(party.ask(new, question)) == "signerNotTrusted"
    assert isinstance(party.ask(holder, confirmation(certificate)).body, PkiConf)
    assert isinstance(party.ask(new, question).body, General)


# --- what else can be asked -----------------------------------------------------------------


def test_the_certificates_of_the_authority_can_be_asked_for(party: CmpParty) -> None:
    holder = party.holder()
    question = General("genm", (("ca_certs", None), ("root_ca_cert", None)))
    answer = party.ask(holder, question).body
    assert isinstance(answer, General)
    told = dict(answer.items)
    issuing = party.ca.issuing.public_bytes(Encoding.DER)
    assert told["root_ca_cert"] == party.ca.root.public_bytes(Encoding.DER)
    assert told["ca_certs"] is not None
    assert told["ca_certs"].endswith(issuing)


def test_there_is_nothing_to_poll_for(party: CmpParty) -> None:
    assert failure(party.ask(party.holder(), PollReq(0))) == "badRequest"


def test_a_response_is_no_request(party: CmpParty) -> None:
    holder = party.holder()
    refusal = CertRep("kup", 0, rejected("badRequest", "no"))
    assert failure(party.ask(holder, refusal)) == "badRequest"
    assert failure(party.ask(holder, PkiConf())) == "badRequest"


def test_many_at_once(party: CmpParty) -> None:
    outcomes: list[int] = []

    def renew_one(holder: Holder) -> None:
        certificate = issued(party.ask(holder, holder.kur()))
        assert isinstance(party.ask(holder, confirmation(certificate)).body, PkiConf)
        outcomes.append(certificate.serial_number)

    threads = [threading.Thread(target=renew_one, args=(party.holder(),)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(outcomes)) == 12

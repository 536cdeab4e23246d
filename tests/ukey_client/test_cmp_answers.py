"""Answers of a CA that are broken, forged or odd: each a clear error, and a key that works."""

import dataclasses
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from renewal_parties import CmpAuthority

from ukey_client.errors import HolderError
from ukey_client.renewal import (
    AnswerOdd,
    CertificateUnacceptable,
    RenewalPending,
    RenewalRefused,
    RenewalUnconfirmed,
    ResponseUntrusted,
    Terms,
)
from ukey_client.renewal.cmp.decode import decode
from ukey_client.renewal.cmp.encode import Protector, Sendable, encode, nonce
from ukey_client.renewal.cmp.message import (
    CertRep,
    ErrorMsg,
    Message,
    PkiConf,
    PKIStatus,
    PollRep,
    StatusInfo,
    rejected,
)
from ukey_client.renewal.cmp.protection import algorithm_for, sign
from ukey_client.renewal.renew import _Renewal
from ukey_client.renewal.trust import Trust
from ukey_harness.world.ca.cmp.responder import Responder

FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CmpAuthority]:
    with CmpAuthority(tmp_path_factory.mktemp("ca")) as authority:
        yield authority


class Wire:
    """A way to the authority on which the answer number `at` (from 0) is changed."""

    url = "http://ca.test/cmp"

    def __init__(
        self, authority: CmpAuthority, change: Callable[[bytes], bytes], *, at: int = 0
    ) -> None:
        self.responder = Responder(authority.ca, authority.clock)
        self.change, self.at, self.count = change, at, 0

    def send(self, message: bytes) -> bytes:
        answer = self.responder.answer(message)
        self.count += 1
        return self.change(answer) if self.count - 1 == self.at else answer


def run(
    authority: CmpAuthority,
    change: Callable[[bytes], bytes],
    *,
    at: int = 0,
    terms: Terms | None = None,
) -> None:
    """Renew over a changed wire, and check that the key works and can be renewed afterwards."""
    token, old = authority.new_holder()
    trust = Trust([authority.ca.root], [], authority.clock.now)
    terms = terms or Terms(sleep=lambda _: None)
    try:
        _Renewal(token, Wire(authority, change, at=at), trust, terms).run(old)  # type: ignore[arg-type]
    finally:
        assert any(authority.works(token, one) for one in token.certificates())
        new = _Renewal(
            token,
            Wire(authority, lambda answer: answer),  # type: ignore[arg-type]
            trust,
            terms,
        ).run(token.certificates()[0])
        assert token.certificates() == [new]


def said_by_the_ca(
    authority: CmpAuthority, body: Sendable | None = None, **changes: Any
) -> Callable[[bytes], bytes]:
    """Replace body or header of an answer, protected as the authority does it."""
    identity = authority.ca.identity("cmp")

    def change(answer: bytes) -> bytes:
        message = decode(answer)
        protector = Protector(
            algorithm_for(identity.certificate.public_key()),
            lambda part: sign(identity.key, part),
            message.extra_certs,
        )
        header = dataclasses.replace(message.header, **changes)
        sent: Any = body if body is not None else message.body
        return encode(header, sent, protector)

    return change


# --- answers that cannot be trusted ----------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize(
    "changes",
    [
        {"transaction_id": nonce()},
        {"transaction_id": None},
        {"recip_nonce": nonce()},
        {"recip_nonce": None},
        {"sender_nonce": None},
        {"sender_nonce": b"short"},
        {"sender": None},
    ],
    ids="-".join,
)
def test_an_answer_to_another_question_is_not_taken(
    authority: CmpAuthority, changes: dict[str, Any], at: int
) -> None:
    expected = RenewalUnconfirmed if at else ResponseUntrusted
    with pytest.raises(expected):
        run(authority, said_by_the_ca(authority, **changes), at=at)


def test_a_recorded_answer_is_not_taken(authority: CmpAuthority) -> None:
    recorded: list[bytes] = []

    def record(answer: bytes) -> bytes:
        recorded.append(answer)
        return answer

    run(authority, record)
    with pytest.raises(ResponseUntrusted):
        run(authority, lambda _: recorded[0])


def test_an_expired_signer_is_not_believed(authority: CmpAuthority) -> None:
    def much_later() -> Any:
        return authority.clock.now() + timedelta(days=40 * 365)

    token, old = authority.new_holder()
    trust = Trust([authority.ca.root], [], much_later)
    wire = Wire(authority, lambda answer: answer)
    with pytest.raises(ResponseUntrusted, match="有效期"):
        _Renewal(token, wire, trust, Terms()).run(old)  # type: ignore[arg-type]


# --- odd answers of a CA that is trusted -------------------------------------------------------


def granted(message: Message) -> bytes:
    assert isinstance(message.body, CertRep)
    assert message.body.certificate is not None
    return message.body.certificate


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (PkiConf(), AnswerOdd),
        (CertRep("ip", 0, StatusInfo(PKIStatus.ACCEPTED)), AnswerOdd),
        (CertRep("kup", 0, StatusInfo(PKIStatus.ACCEPTED)), AnswerOdd),
        (CertRep("kup", 5, StatusInfo(PKIStatus.ACCEPTED)), AnswerOdd),
        (CertRep("kup", 0, rejected("badPOP")), RenewalRefused),
        (CertRep("kup", 0, StatusInfo(PKIStatus.KEY_UPDATE_WARNING)), RenewalRefused),
        (ErrorMsg(rejected("systemUnavail", "later")), RenewalRefused),
        (ErrorMsg(StatusInfo(PKIStatus.ACCEPTED)), RenewalRefused),
        (PollRep(0, 1), AnswerOdd),
    ],
)
def test_an_odd_answer_is_told(
    authority: CmpAuthority, body: Sendable, error: type[HolderError]
) -> None:
    with pytest.raises(error) as caught:
        run(authority, said_by_the_ca(authority, body))
    assert "原证书没有改变" in caught.value.message


def test_a_grant_with_changes_is_taken(authority: CmpAuthority) -> None:
    def change(answer: bytes) -> bytes:
        body = CertRep("kup", 0, StatusInfo(PKIStatus.GRANTED_WITH_MODS), granted(decode(answer)))
        return said_by_the_ca(authority, body)(answer)

    run(authority, change)


@pytest.mark.parametrize("certificate", [b"\x30\x03\x02\x01\x00", None])
def test_a_certificate_that_is_none(authority: CmpAuthority, certificate: bytes | None) -> None:
    if certificate is None:
        certificate = authority.ca.issuing.public_bytes(Encoding.DER)
    body = CertRep("kup", 0, StatusInfo(PKIStatus.ACCEPTED), certificate)
    with pytest.raises((CertificateUnacceptable, AnswerOdd)):
        run(authority, said_by_the_ca(authority, body))


def test_waiting_that_never_ends_is_ended(authority: CmpAuthority) -> None:
    """The CA says "waiting" to the request, and puts off every question after it."""
    waiting = CertRep("kup", 0, StatusInfo(PKIStatus.WAITING))
    slept: list[float] = []

    class Slow(Wire):
        def send(self, message: bytes) -> bytes:
            answer = self.responder.answer(message)
            body = waiting if decode(message).body.kind == "kur" else PollRep(0, 9, ("排队中",))
            return said_by_the_ca(authority, body)(answer)

    token, old = authority.new_holder()
    trust = Trust([authority.ca.root], [], authority.clock.now)
    terms = Terms(sleep=slept.append, patience=timedelta(seconds=30))
    with pytest.raises(RenewalPending, match="排队中"):
        _Renewal(token, Slow(authority, bytes), trust, terms).run(old)  # type: ignore[arg-type]
    assert slept == [9, 9, 9]
    assert token.certificates() == [old]


def test_waiting_again_and_again_is_ended(authority: CmpAuthority) -> None:
    """The CA answers each poll by "waiting" itself, not by a pollRep."""
    waiting = CertRep("kup", 0, StatusInfo(PKIStatus.WAITING))

    class Stubborn(Wire):
        def send(self, message: bytes) -> bytes:
            self.count += 1
            assert self.count < 200
            return said_by_the_ca(authority, waiting)(self.responder.answer(message))

    token, old = authority.new_holder()
    trust = Trust([authority.ca.root], [], authority.clock.now)
    with pytest.raises(RenewalPending):
        _Renewal(token, Stubborn(authority, bytes), trust, Terms(sleep=lambda _: None)).run(old)  # type: ignore[arg-type]
    assert token.certificates() == [old]


# --- garbage -----------------------------------------------------------------------------------


@FEW
@given(at=st.integers(0, 1), garbage=st.binary(max_size=500))
def test_random_bytes(authority: CmpAuthority, at: int, garbage: bytes) -> None:
    with pytest.raises((AnswerOdd, ResponseUntrusted, RenewalUnconfirmed)):
        run(authority, lambda _: garbage, at=at)


@FEW
@given(data=st.data(), at=st.integers(0, 1), resign=st.booleans())
def test_changed_answers(
    authority: CmpAuthority, data: st.DataObject, at: int, resign: bool
) -> None:
    """Bytes changed anywhere; also by the CA itself, whose signature is right then."""

    def change(answer: bytes) -> bytes:
        message = decode(answer)
        changed = bytearray(message.protected_part if resign else answer)
        for _ in range(data.draw(st.integers(1, 3))):
            # The length of a signature varies, the draws must not.
            place = 4 + data.draw(st.integers(0, 1_000_000)) % (len(changed) - 4)
            changed[place] = data.draw(st.integers(0, 255))
        if not resign:
            return bytes(changed)
        return _with_protection(bytes(changed), message, authority)

    try:
        run(authority, change, at=at)
    except HolderError as error:
        assert error.message


def _with_protection(part: bytes, message: Message, authority: CmpAuthority) -> bytes:
    inside = part[2 + (part[1] & 0x7F if part[1] & 0x80 else 0) :]
    signature = sign(authority.ca.identity("cmp").key, part)
    protection = _der(0xA0, _der(0x03, b"\0" + signature))
    extra = _der(0xA1, _der(0x30, b"".join(message.extra_certs)))
    return _der(0x30, inside + protection + extra)


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def test_the_resigning_makes_answers_that_are_believed(authority: CmpAuthority) -> None:
    """Else the test above would only show that bad signatures are refused."""

    def change(answer: bytes) -> bytes:
        message = decode(answer)
        return _with_protection(message.protected_part, message, authority)

    run(authority, change)

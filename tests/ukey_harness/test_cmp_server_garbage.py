"""Garbage at the CMP server: it answers with CMP or HTTP 400, and never falls over."""

import dataclasses
from collections.abc import Iterator

import httpx2
import pytest
from cmp_party import CmpParty, Holder
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ukey_client.renewal.cmp.decode import decode
from ukey_client.renewal.cmp.encode import encode
from ukey_client.renewal.cmp.message import (
    CertConf,
    CertStatus,
    ErrorMsg,
    General,
    MalformedMessage,
    P10cr,
    PollReq,
    rejected,
)
from ukey_harness.world.ca.cmp.routes import SIZE_LIMIT

CMP = {"Content-Type": "application/pkixcmp"}
FEW = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CmpParty]:
    with CmpParty(tmp_path_factory.mktemp("ca"), serve=True) as party:
        yield party


@pytest.fixture(scope="module")
def holder(party: CmpParty) -> Holder:
    return party.holder()


class Seeds(list[bytes]):
    """Messages, which a failing example shall not print."""

    def __repr__(self) -> str:
        return f"{len(self)} messages"


@pytest.fixture(scope="module")
def seeds(party: CmpParty, holder: Holder) -> Seeds:
    """Whole messages of every kind that the server takes."""
    request = x509.CertificateSigningRequestBuilder().subject_name(holder.certificate.subject)
    bodies = [
        holder.kur(),
        holder.kur(kind="ir"),
        P10cr(request.sign(holder.key, hashes.SHA256()).public_bytes(Encoding.DER)),
        CertConf((CertStatus(bytes(32), 0, rejected("badPOP", "no"), "sha256"),)),
        ErrorMsg(rejected("systemFailure", "broken"), ("details",)),
        General("genm", (("ca_certs", None),)),
        PollReq(0),
    ]
    header = holder.header(party.clock, implicit_confirm=True)
    return Seeds(encode(header, body, holder.protector) for body in bodies)


def check_answer(party: CmpParty, request: bytes) -> None:
    """Check that an answer comes, protected by the authority, or none because it is no CMP."""
    try:
        answer = party.responder.answer(request)
    except MalformedMessage:
        return
    message = decode(answer)
    party.check(message)


@FEW
@given(request=st.binary(max_size=2000))
def test_random_bytes(party: CmpParty, request: bytes) -> None:
    check_answer(party, request)


@FEW
@given(data=st.data())
def test_changed_messages(party: CmpParty, seeds: Seeds, data: st.DataObject) -> None:
    """Bytes changed, cut out and put in, at any place of a good message."""
    message = bytearray(seeds[data.draw(st.integers(0, len(seeds) - 1))])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(message) - 1))
        match data.draw(st.sampled_from(["change", "cut", "insert", "end"])):
            case "change":
                message[place] = data.draw(st.integers(0, 255))
            case "cut":
                del message[place : place + data.draw(st.integers(1, 8))]
            case "insert":
                message[place:place] = data.draw(st.binary(min_size=1, max_size=8))
            case "end":
                del message[place:]
        if not message:
            break
    check_answer(party, bytes(message))


@FEW
@given(data=st.data())
def test_changed_messages_with_a_good_signature(
    party: CmpParty, holder: Holder, seeds: Seeds, data: st.DataObject
) -> None:
    """What a holder in bad faith sends: the protection is right, what it protects is not."""
    message = decode(seeds[data.draw(st.integers(0, len(seeds) - 1))])
    part = bytearray(message.protected_part)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(4, len(part) - 1))
        part[place] = data.draw(st.integers(0, 255))
    check_answer(party, resigned(bytes(part), holder))


def resigned(part: bytes, holder: Holder) -> bytes:
    """Put a protected part, whatever it holds, into a message with a fresh protection."""
    signature = holder.protector.sign(part)
    inside = part[2 + (part[1] & 0x7F if part[1] & 0x80 else 0) :]
    protection = _der(0xA0, _der(0x03, b"\0" + signature))
    extra = _der(0xA1, _der(0x30, holder.protector.extra_certs[0]))
    return _der(0x30, inside + protection + extra)


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def test_a_good_message_passes_through_the_resigning(
    party: CmpParty, holder: Holder, seeds: Seeds
) -> None:
    """Else the test above would only show that bad signatures are refused."""
    message = decode(seeds[5])
    assert isinstance(message.body, General)
    answer = decode(party.responder.answer(resigned(message.protected_part, holder)))
    assert isinstance(answer.body, General)


@FEW
@given(depth=st.integers(1, 5000), tag=st.sampled_from([0x30, 0xA0, 0xA4, 0xB4, 0x31]))
def test_deep_nesting(party: CmpParty, depth: int, tag: int) -> None:
    inside = b""
    for _ in range(depth):
        inside = _der(tag, inside)
        if len(inside) > SIZE_LIMIT:
            break
    check_answer(party, inside)
    check_answer(party, _der(0x30, _der(0x30, b"\x02\x01\x02" + inside) + inside))


@pytest.mark.parametrize("body", [b"", b"\x30", b"\x30\x80\x00\x00", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_message_gets_400(party: CmpParty, body: bytes) -> None:
    answer = httpx2.post(f"{party.url}/cmp", content=body, headers=CMP, timeout=10)
    assert answer.status_code == 400
    assert "no CMP message" in answer.text


def test_a_message_may_not_be_too_long(party: CmpParty, seeds: Seeds) -> None:
    for body in (bytes(SIZE_LIMIT + 1), seeds[0] + bytes(10 * SIZE_LIMIT)):
        answer = httpx2.post(f"{party.url}/cmp", content=body, headers=CMP, timeout=10)
        assert answer.status_code == 413


def test_other_content_is_refused(party: CmpParty, seeds: Seeds) -> None:
    for media_type in ("application/json", "text/html", ""):
        answer = httpx2.post(
            f"{party.url}/cmp",
            content=seeds[0],
            headers={"Content-Type": media_type},
            timeout=10,
        )
        assert answer.status_code == 415


def test_it_is_a_post(party: CmpParty) -> None:
    assert httpx2.get(f"{party.url}/cmp", timeout=10).status_code == 405


def test_the_well_known_path_serves(party: CmpParty) -> None:
    """RFC 9811 §3.6 (/.well-known/cmp)."""
    holder = party.holder()
    request = encode(holder.header(party.clock), holder.kur(), holder.protector)
    answer = httpx2.post(f"{party.url}/.well-known/cmp", content=request, headers=CMP, timeout=10)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pkixcmp"
    message = decode(answer.content)
    party.check(message)
    assert message.body.kind == "kup"


def test_a_message_of_the_future_is_answered(party: CmpParty) -> None:
    """A time near the end of time must not overflow."""
    holder = party.holder()
    last = party.clock.now().replace(year=9999, month=12, day=31)
    header = dataclasses.replace(holder.header(party.clock), message_time=last)
    answer = decode(party.responder.answer(encode(header, holder.kur(), holder.protector)))
    assert isinstance(answer.body, ErrorMsg)
    assert answer.body.status.fail_info == {"badTime"}

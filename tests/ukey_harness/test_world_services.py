"""The authority's services over HTTP (OCSP, CRL, TSA, files, page), with openssl as the judge."""

import base64
import hashlib
import http.client
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from ukey_harness.world import Unit, World

Writer: TypeAlias = Callable[..., Path]
Issuer: TypeAlias = Callable[..., x509.Certificate]

# The loopback is asked directly, whatever proxy the environment names.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(
    url: str, body: bytes | None = None, media_type: str = "application/octet-stream"
) -> tuple[str, bytes]:
    request = urllib.request.Request(url, body, {"Content-Type": media_type})  # noqa: S310, ours
    with _opener.open(request, timeout=10) as answer:
        return answer.headers["content-type"], answer.read()


@pytest.mark.parametrize("path", ["/", "/crl/issuing.crl"])
def test_it_answers_to_its_own_name_only(world: World, path: str) -> None:
    netloc = urllib.parse.urlsplit(world.ca_url).netloc
    for host, status in ((netloc, 200), ("127.0.0.1", 200), ("evil", 421), (f"{netloc}0", 421)):
        connection = http.client.HTTPConnection(netloc, timeout=10)
        connection.request("GET", path, headers={"Host": host})
        assert connection.getresponse().status == status, host
        connection.close()


def openssl(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["openssl", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=30,
        check=check,
        env={"PATH": "/usr/bin:/bin"},
    )


@pytest.fixture(scope="module")
def shared_world() -> Iterator[World]:
    with World.start() as world:
        yield world


@pytest.fixture
def world(shared_world: World) -> World:
    shared_world.clock.reset()
    return shared_world


@pytest.fixture
def new_certificate(world: World) -> Issuer:
    def issue(**more: Any) -> x509.Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        return world.ca.issue(key.public_key(), Unit.example(1), **more)

    return issue


@pytest.fixture
def files(world: World, tmp_path: Path) -> Writer:
    def write(name: str, *certificates: x509.Certificate) -> Path:
        path = tmp_path / f"{name}.pem"
        path.write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in certificates))
        return path

    write("root", world.ca.root)
    write("issuing", world.ca.issuing)
    write("chain", *world.ca.chain())
    return write


# --- OCSP -----------------------------------------------------------------------------------


def ask_openssl(
    world: World, tmp_path: Path, *certificates: Path
) -> subprocess.CompletedProcess[str]:
    named = [word for path in certificates for word in ("-cert", path)]
    return openssl(
        *("ocsp", "-issuer", tmp_path / "issuing.pem", *named, "-url", world.ocsp_url),
        *("-CAfile", tmp_path / "chain.pem", "-timeout", "10"),
    )


def test_openssl_is_told_good_then_revoked(
    world: World, files: Writer, tmp_path: Path, new_certificate: Issuer
) -> None:
    certificate = new_certificate()
    path = files("unit", certificate)
    told = ask_openssl(world, tmp_path, path)
    assert "unit.pem: good" in told.stdout
    assert "Response verify OK" in told.stderr
    assert "no nonce" not in told.stderr

    world.ca.revoke(certificate.serial_number, "keyCompromise")
    told = ask_openssl(world, tmp_path, path)
    assert "unit.pem: revoked" in told.stdout
    assert "Reason: keyCompromise" in told.stdout
    assert "Response verify OK" in told.stderr


def test_several_certificates_in_one_request(
    world: World, files: Writer, tmp_path: Path, new_certificate: Issuer
) -> None:
    first, second = new_certificate(), new_certificate()
    world.ca.revoke(second.serial_number)
    told = ask_openssl(world, tmp_path, files("first", first), files("second", second))
    assert "first.pem: good" in told.stdout
    assert "second.pem: revoked" in told.stdout
    assert "Reason" not in told.stdout
    assert "Response verify OK" in told.stderr


def test_serial_number_that_was_never_given_out_is_unknown(
    world: World, files: Writer, tmp_path: Path
) -> None:
    assert files
    told = openssl(
        *("ocsp", "-issuer", tmp_path / "issuing.pem", "-serial", "0x1234"),
        *("-url", world.ocsp_url, "-CAfile", tmp_path / "chain.pem"),
    )
    assert "0x1234: unknown" in told.stdout


def request_for(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    nonce: bytes = b"",
    algorithm: hashes.HashAlgorithm | None = None,
) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        certificate, issuer, algorithm or hashes.SHA256()
    )
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def test_ocsp_by_get_takes_its_time_from_the_clock(world: World, new_certificate: Issuer) -> None:
    certificate = new_certificate(days=3000)
    world.clock.set(datetime(2027, 2, 3, 4, 5, 6, tzinfo=UTC))
    request = request_for(certificate, world.ca.issuing, b"n" * 32, hashes.SHA1())  # noqa: S303, RFC 5019 has it
    path = urllib.parse.quote(base64.b64encode(request), safe="")
    media_type, body = fetch(f"{world.ocsp_url}/{path}")
    assert media_type == "application/ocsp-response"
    answer = ocsp.load_der_ocsp_response(body)
    assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert answer.serial_number == certificate.serial_number
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 32
    moment = datetime(2027, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert moment <= answer.this_update_utc < moment + timedelta(seconds=10)
    assert answer.produced_at_utc == answer.this_update_utc
    assert answer.next_update_utc > answer.this_update_utc
    assert answer.certificates == [world.ca.identity("ocsp").certificate]
    responder = answer.certificates[0]
    assert responder.extensions.get_extension_for_class(x509.OCSPNoCheck)


def test_ocsp_of_another_issuer_is_unauthorized(world: World, new_certificate: Issuer) -> None:
    request = request_for(new_certificate(), world.ca.root)
    _, body = fetch(world.ocsp_url, request)
    assert ocsp.load_der_ocsp_response(body).response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"\x30\x80\x00", b"\x30\x03\x02\x01\x05"])
def test_malformed_ocsp_requests_are_answered(world: World, garbage: bytes) -> None:
    malformed = ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    _, body = fetch(world.ocsp_url, garbage)
    assert ocsp.load_der_ocsp_response(body).response_status is malformed
    _, body = fetch(f"{world.ocsp_url}/{'!' * 8}")
    assert ocsp.load_der_ocsp_response(body).response_status is malformed


@pytest.mark.parametrize("service", ["ocsp_url", "tsa_url"])
def test_requests_that_are_too_large_are_refused(world: World, service: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(getattr(world, service), b"x" * 100_000)
    assert refused.value.code == 413


# --- CRLs and files -------------------------------------------------------------------------


def test_files_are_der_and_the_certificates_own_addresses_lead_to_them(
    world: World, new_certificate: Issuer
) -> None:
    certificate = new_certificate()
    pointers = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    urls = {access.access_method: access.access_location.value for access in pointers.value}
    media_type, body = fetch(urls[x509.AuthorityInformationAccessOID.CA_ISSUERS])
    assert media_type == "application/pkix-cert"
    assert x509.load_der_x509_certificate(body) == world.ca.issuing
    assert urls[x509.AuthorityInformationAccessOID.OCSP] == world.ocsp_url
    _, body = fetch(f"{world.ca_url}/certs/root.crt")
    assert x509.load_der_x509_certificate(body) == world.ca.root
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name[0].value == world.crl_url


def test_openssl_verifies_the_crl_and_finds_the_revoked_in_it(
    world: World, files: Writer, tmp_path: Path, new_certificate: Issuer
) -> None:
    good, bad = new_certificate(), new_certificate()
    world.ca.revoke(bad.serial_number, "superseded")
    crls = tmp_path / "crls.pem"
    pems = []
    for issuer in ("issuing", "root"):
        media_type, der = fetch(f"{world.ca_url}/crl/{issuer}.crl")
        assert media_type == "application/pkix-crl"
        path = tmp_path / f"{issuer}.crl"
        path.write_bytes(der)
        judged = openssl(
            *("crl", "-inform", "DER", "-in", path, "-CAfile", tmp_path / "chain.pem", "-noout")
        )
        assert "verify OK" in judged.stderr
        pems.append(openssl("crl", "-inform", "DER", "-in", path).stdout)
    crls.write_text("".join(pems))
    words = (
        *("verify", "-x509_strict", "-crl_check_all", "-CRLfile", crls),
        *("-CAfile", tmp_path / "root.pem", "-untrusted", tmp_path / "issuing.pem"),
    )
    assert openssl(*words, files("good", good)).stdout.strip().endswith("good.pem: OK")
    refused = openssl(*words, files("bad", bad), check=False)
    assert refused.returncode != 0
    assert "certificate revoked" in refused.stderr


def crl_of(world: World, name: str = "issuing") -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(fetch(f"{world.ca_url}/crl/{name}.crl")[1])


def number_of(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_crl_numbers_rise_with_each_new_list_only(world: World, new_certificate: Issuer) -> None:
    certificate = new_certificate()
    first = crl_of(world)
    assert crl_of(world) == first
    world.ca.revoke(certificate.serial_number, "cessationOfOperation")
    second = crl_of(world)
    assert number_of(second) == number_of(first) + 1
    entry = second.get_revoked_certificate_by_serial_number(certificate.serial_number)
    assert entry is not None
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is (
        x509.ReasonFlags.cessation_of_operation
    )
    world.clock.advance(timedelta(days=2))
    third = crl_of(world)
    assert number_of(third) == number_of(second) + 1
    assert third.last_update_utc > second.next_update_utc
    assert third.next_update_utc > world.clock.now()


def test_revoked_issuing_ca_stands_in_the_roots_list() -> None:
    with World.start() as world:
        assert len(crl_of(world, "root")) == 0
        world.ca.revoke(world.ca.issuing.serial_number, "cACompromise")
        crl = crl_of(world, "root")
        assert [entry.serial_number for entry in crl] == [world.ca.issuing.serial_number]
        assert crl.is_signature_valid(world.ca.root.public_key())


# --- timestamps -----------------------------------------------------------------------------


def timestamp(world: World, tmp_path: Path, *words: object) -> Path:
    data, query, reply = (tmp_path / name for name in ("data", "query", "reply"))
    data.write_bytes(b"to be stamped")
    openssl("ts", "-query", "-data", data, "-out", query, *words)
    media_type, body = fetch(world.tsa_url, query.read_bytes(), "application/timestamp-query")
    assert media_type == "application/timestamp-reply"
    reply.write_bytes(body)
    return reply


def verify_timestamp(
    tmp_path: Path, *words: object, check: bool = True
) -> subprocess.CompletedProcess[str]:
    return openssl(
        *("ts", "-verify", "-in", tmp_path / "reply", "-CAfile", tmp_path / "root.pem"),
        *("-untrusted", tmp_path / "issuing.pem", *words),
        check=check,
    )


@pytest.mark.parametrize("digest", ["-sha256", "-sha384", "-sha512"])
def test_openssl_verifies_timestamps(
    world: World, files: Writer, tmp_path: Path, digest: str
) -> None:
    assert files
    timestamp(world, tmp_path, digest, "-cert")
    told = verify_timestamp(tmp_path, "-queryfile", tmp_path / "query")
    assert "Verification: OK" in told.stdout + told.stderr
    (tmp_path / "data").write_bytes(b"something else")
    told = verify_timestamp(tmp_path, "-data", tmp_path / "data", check=False)
    assert told.returncode != 0


def test_timestamp_shows_the_worlds_time_and_policy(
    world: World, files: Writer, tmp_path: Path
) -> None:
    assert files
    world.clock.set(datetime(2029, 8, 9, 10, 11, 12, tzinfo=UTC))
    reply = tsp.TimeStampResp.load(timestamp(world, tmp_path, "-cert").read_bytes())
    info = reply["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed
    moment = datetime(2029, 8, 9, 10, 11, 12, tzinfo=UTC)
    assert moment <= info["gen_time"].native < moment + timedelta(seconds=10)
    assert info["policy"].native == "2.999.1"
    query = tsp.TimeStampReq.load((tmp_path / "query").read_bytes())
    assert info["nonce"].native == query["nonce"].native


def test_certificates_come_only_where_they_are_asked_for(
    world: World, files: Writer, tmp_path: Path
) -> None:
    tsa = files("tsa", world.ca.identity("tsa").certificate)
    timestamp(world, tmp_path)
    reply = tsp.TimeStampResp.load((tmp_path / "reply").read_bytes())
    assert reply["time_stamp_token"]["content"]["certificates"].native is None
    chain = tmp_path / "with_tsa.pem"
    chain.write_bytes((tmp_path / "issuing.pem").read_bytes() + tsa.read_bytes())
    told = openssl(
        *("ts", "-verify", "-in", tmp_path / "reply", "-queryfile", tmp_path / "query"),
        *("-CAfile", tmp_path / "root.pem", "-untrusted", chain),
    )
    assert "Verification: OK" in told.stdout + told.stderr


def query(**changes: object) -> bytes:
    fields = {
        "version": "v1",
        "message_imprint": {
            "hash_algorithm": {"algorithm": "sha256"},
            "hashed_message": hashlib.sha256(b"x").digest(),
        },
    }
    return tsp.TimeStampReq(fields | changes).dump()


_SHA1 = {"hash_algorithm": {"algorithm": "sha1"}, "hashed_message": b"1" * 20}
_SHORT = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": b"short"}
_EXTENSION = [{"extn_id": "1.2.3.4", "critical": False, "extn_value": b"\x05\x00"}]


def refusal(world: World, tmp_path: Path, request_der: bytes) -> str:
    reply = tmp_path / "refusal"
    reply.write_bytes(fetch(world.tsa_url, request_der)[1])
    return openssl("ts", "-reply", "-in", reply, "-text").stdout


@pytest.mark.parametrize(
    ("request_der", "failure"),
    [
        pytest.param(b"", "the data submitted has the wrong format", id="nothing"),
        pytest.param(b"garbage", "the data submitted has the wrong format", id="garbage"),
        pytest.param(
            query(message_imprint=_SHA1),
            "unrecognized or unsupported algorithm identifier",
            id="sha1",
        ),
        pytest.param(
            query(message_imprint=_SHORT), "the data submitted has the wrong format", id="short"
        ),
        pytest.param(
            query(req_policy="1.2.3.4"), "the requested TSA policy is not supported", id="policy"
        ),
        pytest.param(
            query(extensions=_EXTENSION), "the requested extension is not supported", id="extension"
        ),
        pytest.param(query(version=2), "transaction not permitted or supported", id="version"),
    ],
)
def test_refused_timestamps_name_the_failure(
    world: World, tmp_path: Path, request_der: bytes, failure: str
) -> None:
    told = refusal(world, tmp_path, request_der)
    assert "Status: Rejected." in told
    assert failure in told
    assert "TST info:\nNot included." in told


def test_no_timestamps_after_the_end_of_the_tsas_certificate(world: World, tmp_path: Path) -> None:
    world.clock.set(world.ca.identity("tsa").certificate.not_valid_after_utc + timedelta(days=1))
    assert "the TSA's time source is not available" in refusal(world, tmp_path, query())


# --- the page -------------------------------------------------------------------------------


def test_landing_page_warns_and_offers_downloads_and_support(world: World) -> None:
    media_type, body = fetch(f"{world.ca_url}/")
    page = body.decode()
    assert media_type.startswith("text/html")
    for words in ("仅供测试", "社保服务专线", "QQ", "服务网点", world.cmp_url):
        assert words in page
    for path in ("/certs/root.crt", "/certs/issuing.crt", "/crl/issuing.crl", "/crl/root.crl"):
        assert f'href="{path}"' in page
        assert fetch(world.ca_url + path)[1]
    assert world.ca.root.fingerprint(hashes.SHA256()).hex(":").upper() in page.replace("<wbr>", "")


def test_what_is_not_there_is_not_found(world: World) -> None:
    for url, body in ((f"{world.ca_url}/keys/root.pem", None), (world.tsa_url, None)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(url, body)
        assert refused.value.code in {404, 405}

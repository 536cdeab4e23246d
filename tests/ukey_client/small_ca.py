"""A small CA for the client's tests: root, issuing CA, TSA, OCSP and CRL on one loopback port."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from asn1crypto import keys as asn1_keys
from asn1crypto import tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    NameOID,
)
from pyhanko.sign.timestamps import DummyTimeStamper

UNIT_IDENTIFIER = x509.ObjectIdentifier("1.2.156.112586.1.4")


def name(common: str, organization: str = "客户端测试 CA（仅供测试）") -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


@dataclass
class Mood:
    """How the services behave in one test."""

    tsa: str = "good"  # good, refuse, garbage, other-imprint, other-nonce, error
    ocsp: str = "good"  # good, error, garbage, forged, stale
    crl: str = "good"  # good, error, garbage
    revoked: set[int] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)


class SmallCa:
    def __init__(self, url: str) -> None:
        self.url = url
        self.mood = Mood()
        self.root_key = ec.generate_private_key(ec.SECP256R1())
        self.issuing_key = ec.generate_private_key(ec.SECP256R1())
        self.tsa_key = rsa.generate_private_key(65537, 2048)
        self.stranger_key = ec.generate_private_key(ec.SECP256R1())
        root = name("测试根证书")
        self.root = self._sign(root, root, self.root_key.public_key(), self.root_key, ca=True)
        self.issuing = self._sign(
            name("测试签发机构"),
            root,
            self.issuing_key.public_key(),
            self.root_key,
            ca=True,
            crl=f"{url}/crl/root.crl",
        )
        # The same name as the issuing CA, another key, and a usage that it gave itself.
        self.stranger = self._sign(
            self.issuing.subject,
            self.issuing.subject,
            self.stranger_key.public_key(),
            self.stranger_key,
            usage=ExtendedKeyUsageOID.OCSP_SIGNING,
        )
        self.tsa = self._sign(
            name("测试时间戳"),
            self.issuing.subject,
            self.tsa_key.public_key(),
            self.issuing_key,
            usage=ExtendedKeyUsageOID.TIME_STAMPING,
            crl=f"{url}/crl/issuing.crl",
        )

    @property
    def tsa_url(self) -> str:
        return f"{self.url}/tsa"

    def issue(
        self,
        public_key: Any,
        unit: str,
        *,
        identifier: str | None = "91130100MA0TESTXX1",
        starts: timedelta = timedelta(days=-1),
        ends: timedelta = timedelta(days=364),
        with_ocsp: bool = True,
        with_crl: bool = True,
    ) -> x509.Certificate:
        return self._sign(
            name(unit, unit),
            self.issuing.subject,
            public_key,
            self.issuing_key,
            starts=starts,
            ends=ends,
            identifier=identifier,
            ocsp_url=f"{self.url}/ocsp" if with_ocsp else None,
            crl=f"{self.url}/crl/issuing.crl" if with_crl else None,
        )

    def write_trust(self, path: Path) -> Path:
        path.write_bytes(
            self.root.public_bytes(Encoding.PEM) + self.issuing.public_bytes(Encoding.PEM)
        )
        return path

    def _sign(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        public_key: Any,
        key: Any,
        *,
        ca: bool = False,
        starts: timedelta = timedelta(days=-1),
        ends: timedelta = timedelta(days=3650),
        usage: x509.ObjectIdentifier | None = None,
        identifier: str | None = None,
        ocsp_url: str | None = None,
        crl: str | None = None,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + starts)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not ca,
                    content_commitment=not ca,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=ca,
                    crl_sign=ca,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
                critical=False,
            )
        )
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
        if identifier is not None:
            text = identifier.encode()
            extension = x509.UnrecognizedExtension(UNIT_IDENTIFIER, bytes([0x0C, len(text)]) + text)
            builder = builder.add_extension(extension, critical=False)
        if ocsp_url is not None:
            access = x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp_url)
            )
            where = x509.AccessDescription(
                AuthorityInformationAccessOID.CA_ISSUERS,
                x509.UniformResourceIdentifier(f"{self.url}/certs/issuing.crt"),
            )
            builder = builder.add_extension(
                x509.AuthorityInformationAccess([access, where]), critical=False
            )
        if crl is not None:
            point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl)], None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        return builder.sign(key, hashes.SHA256())

    # --- services ---------------------------------------------------------------------------

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        self.mood.calls.append(path)
        if (method, path) == ("POST", "/ocsp"):
            return self._ocsp(body)
        if (method, path) == ("POST", "/tsa"):
            return self._tsa(body)
        if method == "GET" and path in {"/crl/issuing.crl", "/crl/root.crl"}:
            return self._crl(path)
        if (method, path) == ("GET", "/certs/issuing.crt"):
            return 200, "application/pkix-cert", self.issuing.public_bytes(Encoding.DER)
        return 404, "text/plain", b"nothing here"

    def _ocsp(self, body: bytes) -> tuple[int, str, bytes]:
        if self.mood.ocsp == "error":
            return 500, "text/plain", b"broken"
        if self.mood.ocsp == "garbage":
            return 200, "application/ocsp-response", b"\x30\x03garbage"
        serial = ocsp.load_der_ocsp_request(body).serial_number
        revoked = serial in self.mood.revoked
        now = datetime.now(UTC)
        age = timedelta(days=30) if self.mood.ocsp == "stale" else timedelta(0)
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            issuer_name_hash=_sha1(self.issuing.subject.public_bytes()),
            issuer_key_hash=x509.SubjectKeyIdentifier.from_public_key(
                self.issuing_key.public_key()
            ).digest,
            serial_number=serial,
            algorithm=hashes.SHA1(),  # noqa: S303 - names the issuer only
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
            this_update=now - age,
            next_update=now - age + timedelta(hours=1),
            revocation_time=now if revoked else None,
            revocation_reason=x509.ReasonFlags.unspecified if revoked else None,
        )
        responder, key = self.issuing, self.issuing_key
        if self.mood.ocsp == "forged":
            responder, key = self.stranger, self.stranger_key
            builder = builder.certificates([responder])
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, responder)
        response = builder.sign(key, hashes.SHA256())
        return 200, "application/ocsp-response", response.public_bytes(Encoding.DER)

    def _crl(self, path: str) -> tuple[int, str, bytes]:
        if self.mood.crl == "error":
            return 503, "text/plain", b"broken"
        if self.mood.crl == "garbage":
            return 200, "application/pkix-crl", b"\x30\x00"
        root = path == "/crl/root.crl"
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.root.subject if root else self.issuing.subject)
            .last_update(now - timedelta(minutes=1))
            .next_update(now + timedelta(hours=1))
        )
        for serial in self.mood.revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            builder = builder.add_revoked_certificate(entry.build())
        listed = builder.sign(self.root_key if root else self.issuing_key, hashes.SHA256())
        return 200, "application/pkix-crl", listed.public_bytes(Encoding.DER)

    def _tsa(self, body: bytes) -> tuple[int, str, bytes]:
        mood = self.mood.tsa
        if mood == "error":
            return 500, "text/plain", b"broken"
        if mood == "garbage":
            return 200, "application/timestamp-reply", b"not a time-stamp"
        if mood == "refuse":
            # SEQUENCE { PKIStatusInfo { rejection, PKIFreeText { "no time today" } } }
            text = b"no time today"
            said = bytes([0x30, len(text) + 2, 0x0C, len(text)]) + text
            status = bytes([0x30, len(said) + 3, 0x02, 1, 2]) + said
            return 200, "application/timestamp-reply", bytes([0x30, len(status)]) + status
        request = tsp.TimeStampReq.load(body)
        if mood == "other-imprint":
            request["message_imprint"]["hashed_message"] = b"\0" * 32
        if mood == "other-nonce":
            request["nonce"] = 1
        key = self.tsa_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        stamper = DummyTimeStamper(
            asn1_x509.Certificate.load(self.tsa.public_bytes(Encoding.DER)),
            asn1_keys.PrivateKeyInfo.load(key),
            certs_to_embed=[asn1_x509.Certificate.load(self.issuing.public_bytes(Encoding.DER))],
        )
        given = stamper.request_tsa_response(request).dump()
        return 200, "application/timestamp-reply", given


def _sha1(data: bytes) -> bytes:
    digest = hashes.Hash(hashes.SHA1())  # noqa: S303 - as OCSP names issuers
    digest.update(data)
    return digest.finalize()


@contextmanager
def running_ca() -> Iterator[SmallCa]:
    made: list[SmallCa] = []
    with serving(lambda method, path, body, _: made[0].answer(method, path, body)) as url:
        made.append(SmallCa(url))
        yield made[0]


@contextmanager
def serving(answer: Any) -> Iterator[str]:
    """Run an HTTP server on a free loopback port; answer(method, path, body, headers)."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, media_type, data, *more = answer(self.command, self.path, body, self.headers)
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(data)))
            for header, value in (more[0] if more else {}).items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _reply  # noqa: N815 - the names that http.server calls

        def log_message(self, *arguments: object) -> None:
            del arguments

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)

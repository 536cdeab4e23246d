"""Who deals with the portal in its tests: a small authority of our own, and certificate holders.

The authority issues what a real one would not (wrong usage, no identifier, weak digests), and its
status services can be made to fail, lie or stall. Everything is made with `cryptography`.
"""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID as Access
from cryptography.x509.oid import ExtendedKeyUsageOID as Extended
from cryptography.x509.oid import NameOID
from starlette.testclient import TestClient

from ukey_harness.world.clock import Clock
from ukey_harness.world.portal import Limits, PortalSettings, add_account, create_portal
from ukey_harness.world.units import Unit

ORIGIN = "http://portal.test:8080"
IDENTIFIER = x509.ObjectIdentifier("1.2.156.112586.1.4")
PASSWORD = "青禾-2026"
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def usage(*named: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in named for name in USAGES})


@dataclass
class Status:
    """How the authority's status services behave; changed by tests at will."""

    ocsp: str = "good"  # good | down | garbage | unknown | stale | slow | replayed
    crl: str = "good"  # good | down | stale
    revoked: set[int] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)


class LittleAuthority:
    """A root and an issuing CA with OCSP and CRLs over HTTP on loopback."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.status = Status()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()
        self.root_key, self.key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = self._certificate("测试根", self.root_key.public_key(), None, ca=True)
        self.issuing = self._certificate("测试签发", self.key.public_key(), self.root, ca=True)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def issue(self, public_key: Any, unit: Unit, **changes: Any) -> x509.Certificate:
        return self._certificate(
            unit.name, public_key, self.issuing, **{"identifier": unit.identifier, **changes}
        )

    def _certificate(
        self,
        name: str,
        public_key: Any,
        issuer: x509.Certificate | None,
        *,
        ca: bool = False,
        identifier: str | None = None,
        key_usage: x509.KeyUsage | None = None,
        extended: tuple[x509.ObjectIdentifier, ...] | None = (Extended.CLIENT_AUTH,),
        start: datetime | None = None,
        days: int = 365,
        extra: x509.ExtensionType | None = None,
    ) -> x509.Certificate:
        start = start or self.clock.now() - timedelta(days=1)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject if issuer else subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=days * (20 if ca and not identifier else 1)))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )
        default = ("key_cert_sign", "crl_sign", "digital_signature") if ca else ()
        named = usage(*(default or ("digital_signature", "content_commitment")))
        builder = builder.add_extension(key_usage or named, critical=True)
        if extended is not None and not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
        if identifier is not None:
            value = core.UTF8String(identifier).dump()
            builder = builder.add_extension(
                x509.UnrecognizedExtension(IDENTIFIER, value), critical=False
            )
        if extra is not None:
            builder = builder.add_extension(extra, critical=True)
        if issuer is None:
            return builder.sign(self.root_key, hashes.SHA256())
        kind = "root" if issuer == getattr(self, "root", None) else "issuing"
        uri = x509.UniformResourceIdentifier
        points = [x509.DistributionPoint([uri(f"{self.url}/{kind}.crl")], None, None, None)]
        access = [x509.AccessDescription(Access.OCSP, uri(f"{self.url}/ocsp"))]
        key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = (
            builder.add_extension(x509.CRLDistributionPoints(points), critical=False)
            .add_extension(x509.AuthorityInformationAccess(access), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id),
                critical=False,
            )
        )
        return builder.sign(self.root_key if kind == "root" else self.key, hashes.SHA256())

    def _span(self, *, stale: bool) -> tuple[datetime, datetime]:
        now = self.clock.now()
        back = timedelta(days=10) if stale else timedelta(0)
        return now - back, now - back + timedelta(hours=1)

    def _ocsp(self, body: bytes) -> bytes:
        if self.status.ocsp == "garbage":
            return b"<html>proxy</html>"
        asked = ocsp.load_der_ocsp_request(body)
        serial = asked.serial_number
        by_root = serial == self.issuing.serial_number
        this, following = self._span(stale=self.status.ocsp == "stale")
        revoked = serial in self.status.revoked
        state = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
        if self.status.ocsp == "unknown":
            state = ocsp.OCSPCertStatus.UNKNOWN
        issuer = self.root if by_root else self.issuing
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response_by_hash(
                asked.issuer_name_hash,
                asked.issuer_key_hash,
                serial,
                asked.hash_algorithm,
                state,
                this,
                following,
                this - timedelta(minutes=1) if state is ocsp.OCSPCertStatus.REVOKED else None,
                None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, issuer)
            .certificates([issuer])
        )
        for extension in asked.extensions:
            answered = extension.value
            if self.status.ocsp == "replayed" and isinstance(answered, x509.OCSPNonce):
                answered = x509.OCSPNonce(bytes(len(answered.nonce)))
            builder = builder.add_extension(answered, critical=False)
        key = self.root_key if by_root else self.key
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def _crl(self, *, by_root: bool) -> bytes:
        this, following = self._span(stale=self.status.crl == "stale")
        issuer, key = (self.root, self.root_key) if by_root else (self.issuing, self.key)
        key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.subject)
            .last_update(this)
            .next_update(following)
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id),
                critical=False,
            )
        )
        for serial in self.status.revoked:
            entry = x509.RevokedCertificateBuilder(serial, this - timedelta(minutes=1))
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                authority.status.asked.append("ocsp")
                if authority.status.ocsp == "slow":
                    time.sleep(4)
                down = authority.status.ocsp == "down"
                self._answer(None if down else authority._ocsp(body))

            def do_GET(self) -> None:
                authority.status.asked.append(self.path)
                down = authority.status.crl == "down"
                by_root = self.path == "/root.crl"
                self._answer(None if down else authority._crl(by_root=by_root))

            def _answer(self, body: bytes | None) -> None:
                self.send_response(503 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                # The portal does not wait for slow answers: it has hung up on those.
                with contextlib.suppress(OSError):
                    self.end_headers()
                    self.wfile.write(body or b"")

        return Handler


@dataclass
class Holder:
    """A unit's person with a key, a certificate and a program that speaks with the portal."""

    unit: Unit
    key: Key
    certificate: x509.Certificate
    client: TestClient
    authority: LittleAuthority

    def sign(self, content: bytes, options: tuple[pkcs7.PKCS7Options, ...] | None = None) -> bytes:
        if options is None:
            options = (pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary)
        builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
        builder = builder.add_signer(self.certificate, self.key, hashes.SHA256())
        builder = builder.add_certificate(self.authority.issuing)
        return builder.sign(serialization.Encoding.DER, options)

    def challenge(self) -> dict[str, str]:
        found: dict[str, str] = self.client.get("/api/login/challenge").json()
        return found

    def hand_in(self, challenge_id: str, signature: bytes, **more: str) -> Any:
        body = {"id": challenge_id, "signature": base64.b64encode(signature).decode(), **more}
        return self.client.post("/api/login", json=body)

    def log_in(self) -> Any:
        challenge = self.challenge()
        return self.hand_in(challenge["id"], self.sign(challenge["text"].encode()))

    def bind(self, user: str = "", password: str = PASSWORD) -> Any:
        body = {"user": user or self.unit.number, "password": password}
        return self.client.post("/api/bind", json=body)

    def enter(self) -> Holder:
        """Log in and bind, both of which must succeed."""
        assert self.log_in().status_code == 200
        if self.client.get("/api/session").json()["state"] == "bind":
            assert self.bind().json()["state"] == "ok"
        return self


class Office:
    """A portal with its authority and clock, and the holders that come to it."""

    def __init__(self, folder: Path, *, origin: str = ORIGIN, limits: Limits | None = None) -> None:
        self.clock = Clock()
        self.authority = LittleAuthority(self.clock)
        self.settings = PortalSettings(
            origin=origin,
            folder=folder,
            clock=self.clock,
            trust_roots=(self.authority.root,),
            authority=self.authority.url,
            limits=limits or Limits(),
        )
        self.app = create_portal(self.settings)

    def close(self) -> None:
        self.app.state.portal.close()
        self.authority.close()

    def client(self) -> TestClient:
        return TestClient(
            self.app, base_url=self.settings.origin, headers={"X-Requested-With": "ukeylab"}
        )

    def holder(self, n: int = 0, *, key: Key | None = None, **changes: Any) -> Holder:
        unit = Unit.example(n)
        key = key or ec.generate_private_key(ec.SECP256R1())
        certificate = self.authority.issue(key.public_key(), unit, **changes)
        return Holder(unit, key, certificate, self.client(), self.authority)

    def member(self, n: int = 0, **changes: Any) -> Holder:
        """Return a holder whose unit has an account (user: its number)."""
        holder = self.holder(n, **changes)
        add_account(self.app, holder.unit.number, PASSWORD, holder.unit)
        return holder

"""An authority with its CMP server, and holders of its certificates, for tests of the server."""

from __future__ import annotations

import dataclasses
import subprocess
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from starlette.applications import Starlette

from ukey_client.renewal.cmp.decode import decode
from ukey_client.renewal.cmp.encode import (
    Protector,
    Sendable,
    certificate_request,
    encode,
    nonce,
)
from ukey_client.renewal.cmp.message import CertId, CertReq, Header, Message
from ukey_client.renewal.cmp.protection import algorithm_for, sign
from ukey_client.renewal.trust import Trust
from ukey_harness.world import web
from ukey_harness.world.ca import CertificateAuthority
from ukey_harness.world.ca.cmp import cmp_routes
from ukey_harness.world.ca.cmp.responder import Responder
from ukey_harness.world.clock import Clock
from ukey_harness.world.units import Unit

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def new_key(kind: str = "p256") -> PrivateKey:
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind.removeprefix("rsa")))
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind])


@dataclass
class Holder:
    """A key in memory and its certificate."""

    key: PrivateKey
    certificate: x509.Certificate
    transaction_id: bytes = dataclasses.field(default_factory=nonce)
    last_nonce: bytes | None = None

    @property
    def protector(self) -> Protector:
        return Protector(
            algorithm_for(self.key.public_key()),
            lambda part: sign(self.key, part),
            [self.certificate.public_bytes(Encoding.DER)],
        )

    def header(self, clock: Clock, **changes: Any) -> Header:
        header = Header(
            sender=self.certificate.subject.public_bytes(),
            recipient=self.certificate.issuer.public_bytes(),
            message_time=clock.now(),
            transaction_id=self.transaction_id,
            sender_nonce=nonce(),
            recip_nonce=self.last_nonce,
        )
        return dataclasses.replace(header, **changes)

    def kur(self, key: PrivateKey | None = None, kind: str = "kur", **changes: Any) -> CertReq:
        """Make a request for a new key; `changes` are arguments of certificate_request."""
        new = key or new_key()
        wishes: dict[str, Any] = {
            "issuer": self.certificate.issuer.public_bytes(),
            "subject": self.certificate.subject.public_bytes(),
            "public_key": new.public_key().public_bytes(
                Encoding.DER, PublicFormat.SubjectPublicKeyInfo
            ),
            "algorithm": algorithm_for(new.public_key()),
            "sign": lambda data: sign(new, data),
            "old_cert_id": CertId(
                self.certificate.issuer.public_bytes(), self.certificate.serial_number
            ),
        }
        return certificate_request(kind, **{**wishes, **changes})


class CmpParty:
    """The authority, in this process and, with `serve`, over HTTP."""

    def __init__(self, folder: Path, *, serve: bool = False) -> None:
        self.clock = Clock()
        listener = web.bind()
        self.url = f"http://{web.HOST}:{web.port_of(listener)}"
        self.ca = CertificateAuthority.open(folder, self.url, self.clock)
        self.responder = Responder(self.ca, self.clock)
        self._service: web.Service | None = None
        if serve:
            app = Starlette(routes=cmp_routes(self.ca, self.clock))
            self._service = web.Service("ca", app, listener)
        else:
            listener.close()
        self._units = 0

    def holder(
        self, kind: str = "p256", *, days: int = 60, age: timedelta = timedelta(0)
    ) -> Holder:
        """Return a holder of a new unit, whose certificate was issued `age` ago."""
        self._units += 1
        key = new_key(kind)
        certificate = self.ca.issue(
            key.public_key(),
            Unit.example(self._units),
            days=days,
            not_before=self.clock.now() - age,
        )
        return Holder(key, certificate)

    def ask(self, holder: Holder, body: Sendable, **changes: Any) -> Message:
        """Send a message as the holder; return the answer, whose protection must be right."""
        header = holder.header(self.clock, **changes)
        answer = decode(self.responder.answer(encode(header, body, holder.protector)))
        self.check(answer)
        assert answer.header.recip_nonce == header.sender_nonce
        assert answer.header.transaction_id == header.transaction_id
        holder.last_nonce = answer.header.sender_nonce
        return answer

    def check(self, answer: Message) -> None:
        """Check that the answer is protected by the authority."""
        Trust([self.ca.root], [], self.clock.now).check_protection(answer, self.ca.issuing)

    def close(self) -> None:
        if self._service is not None:
            self._service.stop()
        self.ca.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class OpensslClient:
    """`openssl cmp` in a folder of its own, as a holder."""

    folder: Path
    party: CmpParty
    holder: Holder

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.write_key("old", self.holder.key)
        self.write_certificate("old", self.holder.certificate)
        self.write_certificate("root", self.party.ca.root)
        self.write_certificate("issuing", self.party.ca.issuing)

    def write_key(self, name: str, key: PrivateKey) -> None:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / f"{name}.key").write_bytes(pem)

    def write_certificate(self, name: str, certificate: x509.Certificate) -> None:
        (self.folder / f"{name}.crt").write_bytes(certificate.public_bytes(Encoding.PEM))

    def run(
        self, cmd: str, *options: str, protect: tuple[str, ...] | None = None
    ) -> tuple[int, str]:
        """Run a command of `openssl cmp`; return its exit code and what it said."""
        if protect is None:
            protect = ("-cert", "old.crt", "-key", "old.key")
        common = [
            "-trusted",
            "root.crt",
            "-untrusted",
            "issuing.crt",
            "-certout",
            "out.crt",
            "-msg_timeout",
            "20",
        ]
        where = ("-server", f"{self.party.url}/cmp")
        done = subprocess.run(
            ["openssl", "cmp", "-config", "", "-cmd", cmd, *where, *protect, *common, *options],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def result(self) -> x509.Certificate | None:
        path = self.folder / "out.crt"
        return x509.load_pem_x509_certificate(path.read_bytes()) if path.exists() else None

"""OpenSSL's own CMP test server (`openssl cmp -port`) and a CA for it, for tests."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

UNIT_IDENTIFIER = x509.ObjectIdentifier("1.2.156.112586.1.4")
CMC_CA = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.27")
_START_LIMIT = 20.0


@dataclass
class LittleCa:
    """A root that issues: enough of a CA for OpenSSL's server, which only hands out files."""

    key: PrivateKey
    certificate: x509.Certificate

    @classmethod
    def found(cls, name: str = "Little CA") -> "LittleCa":
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, subject, key, key, days=3650)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        builder = builder.add_extension(
            _usage(digital_signature=True, key_cert_sign=True, crl_sign=True), True
        )
        return cls(key, builder.sign(key, hashes.SHA256()))

    def issue(
        self,
        public_key: object,
        *,
        owner: str = "示例市青禾机械制造有限公司",
        identifier: str | None = "91990001TE0000003X",
        days: int = 60,
        serial: int | None = None,
        usages: tuple[x509.ObjectIdentifier, ...] = (),
        signing: bool = True,
    ) -> x509.Certificate:
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
                x509.NameAttribute(NameOID.COMMON_NAME, owner),
            ]
        )
        builder = _builder(subject, self.certificate.subject, public_key, self.key, days=days)
        if serial is not None:
            builder = _with_serial(builder, serial)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(
            _usage(digital_signature=signing, key_encipherment=not signing), True
        )
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), False)
        if identifier is not None:
            text = identifier.encode()
            value = bytes([0x0C, len(text)]) + text
            extension = x509.UnrecognizedExtension(UNIT_IDENTIFIER, value)
            builder = builder.add_extension(extension, False)
        return builder.sign(self.key, hashes.SHA256())

    def succeed(
        self, old: x509.Certificate, public_key: object, **wishes: object
    ) -> x509.Certificate:
        """Issue what OpenSSL 3.0's server can hand out as the successor of a certificate.

        It takes only a kur whose oldCertId names the very certificate that it will hand out
        (apps/lib/cmp_mock_srv.c): so that old and new must have the same serial number.
        """
        return self.issue(
            public_key,
            serial=old.serial_number,
            **{"days": 400, **wishes},  # type: ignore[arg-type]
        )


@contextmanager
def openssl_server(
    folder: Path,
    ca: LittleCa,
    answer: x509.Certificate,
    *options: str,
    signer: tuple[PrivateKey, x509.Certificate] | None = None,
) -> Iterator[str]:
    """Run the server, which answers with the certificate `answer`; give its address."""
    folder.mkdir(exist_ok=True)
    key, certificate = signer or (ca.key, ca.certificate)
    (folder / "server.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    for name, one in (("server", certificate), ("ca", ca.certificate), ("answer", answer)):
        (folder / f"{name}.crt").write_bytes(one.public_bytes(Encoding.PEM))
    command = [
        "openssl",
        "cmp",
        "-config",
        "",
        "-port",
        "0",
        "-srv_cert",
        "server.crt",
        "-srv_key",
        "server.key",
        "-srv_trusted",
        "ca.crt",
        "-rsp_cert",
        "answer.crt",
    ]
    log = folder / "server.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*command, *options],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            yield f"http://127.0.0.1:{_port(server, log)}"
        finally:
            server.kill()
            server.wait(10)


def _port(server: "subprocess.Popen[bytes]", log: Path) -> int:
    deadline = time.monotonic() + _START_LIMIT
    while time.monotonic() < deadline and server.poll() is None:
        accepting = re.search(r"ACCEPT \S*:(\d+) ", log.read_text(errors="replace"))
        if accepting:
            return int(accepting[1])
        time.sleep(0.02)
    raise AssertionError(f"openssl cmp does not serve:\n{log.read_text(errors='replace')}")


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: object, issuer_key: PrivateKey, *, days: int
) -> x509.CertificateBuilder:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    if hasattr(public_key, "public_key"):
        public_key = public_key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)  # type: ignore[arg-type]
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(identifier, critical=False)
        .add_extension(authority, critical=False)
    )


def _with_serial(builder: x509.CertificateBuilder, serial: int) -> x509.CertificateBuilder:
    builder._serial_number = serial  # it is set already, and may be set only once
    return builder


def _usage(**bits: bool) -> x509.KeyUsage:
    names = [
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ]
    return x509.KeyUsage(**{name: bits.get(name, False) for name in names})

"""A small certificate authority, which certifies what keys of a profile hold. For tests only."""

from datetime import UTC, datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ukey_emulator.profiles.content import ENCRYPT, Certified

Pair = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_EXPONENT = 65_537
_YEAR = timedelta(days=365)
_LEEWAY = timedelta(days=1)  # clocks differ
_OWN_YEARS = 30
_CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}
_USES = (
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


class Authority:
    """The authority: its name says what it is, and its own key is gone when it has done its work.

    `pem` is its certificate.
    """

    def __init__(self, name: x509.Name, key: Pair, certificate: x509.Certificate) -> None:
        self._name = name
        self._key = key
        self._certificate = certificate
        self.pem = certificate.public_bytes(Encoding.PEM)

    @classmethod
    def found(cls, key: str) -> Self:
        """Found one whose own key is of that kind."""
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ukeylab"),
                x509.NameAttribute(NameOID.COMMON_NAME, "ukeylab profiles, for tests only"),
            ]
        )
        own = new_key(key)
        builder = _builder(name, name, own, _OWN_YEARS).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        builder = builder.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        return cls(name, own, builder.sign(own, hashes.SHA256()))

    def certify(self, wanted: Certified, key: Pair) -> bytes:
        """Certify a key as a profile wants it; gives the certificate's DER.

        ValueError if the subject is no name (RFC 4514).
        """
        subject = x509.Name.from_rfc4514_string(wanted.subject)
        builder = _builder(subject, self._name, key, wanted.years).add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        if wanted.purpose == ENCRYPT:
            agrees = isinstance(key, ec.EllipticCurvePrivateKey)
            uses = ("key_agreement",) if agrees else ("key_encipherment", "data_encipherment")
        else:
            uses = ("digital_signature", "content_commitment")
            client = x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION]
            )
            builder = builder.add_extension(client, critical=False)
        builder = builder.add_extension(_usage(*uses), critical=True)
        issuer = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        known = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer.value)
        signed = builder.add_extension(known, critical=False).sign(self._key, hashes.SHA256())
        return signed.public_bytes(Encoding.DER)


def new_key(kind: str) -> Pair:
    """Make a key pair of a kind that profiles know: RSA-2048, P-256."""
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    return rsa.generate_private_key(_EXPONENT, int(kind.removeprefix("RSA-")))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Pair, years: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC).replace(microsecond=0)
    public = key.public_key()
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=public)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - _LEEWAY).not_valid_after(now + years * _YEAR)
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return builder.add_extension(identifier, critical=False)


def _usage(*uses: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{use: use in uses for use in _USES})

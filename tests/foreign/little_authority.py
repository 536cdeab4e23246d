"""A root and an issuing authority in memory: certificates for keys that live on a token."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER


def name(common: str) -> x509.Name:
    """Return CN=common, C=CN."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


class LittleAuthority:
    """`root` and `issuing` are certificates; `issue` makes one for the holder of a key."""

    def __init__(self) -> None:
        root_key, self._key = (
            ec.generate_private_key(ec.SECP256R1()),
            ec.generate_private_key(ec.SECP256R1()),
        )
        self.root = self._certify(
            root_key.public_key(), name("Test Root"), name("Test Root"), root_key, authority=True
        )
        self.issuing = self._certify(
            self._key.public_key(),
            name("Test Issuing"),
            name("Test Root"),
            root_key,
            authority=True,
        )

    def issue(self, public_key: CertificatePublicKeyTypes, common: str) -> x509.Certificate:
        """Certify the key for signatures of any kind, a year long."""
        return self._certify(
            public_key, name(common), self.issuing.subject, self._key, authority=False
        )

    @staticmethod
    def _certify(
        public_key: CertificatePublicKeyTypes,
        subject: x509.Name,
        issuer: x509.Name,
        signer: ec.EllipticCurvePrivateKey,
        *,
        authority: bool,
    ) -> x509.Certificate:
        yesterday = datetime.now(UTC) - timedelta(days=1)
        usage = dict.fromkeys(
            (
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(yesterday)
            .not_valid_after(yesterday + timedelta(days=366))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not authority,
                    content_commitment=not authority,
                    key_cert_sign=authority,
                    crl_sign=authority,
                    **usage,
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
                critical=False,
            )
        )
        if not authority:
            uses = [ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION]
            builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        return builder.sign(signer, hashes.SHA256())

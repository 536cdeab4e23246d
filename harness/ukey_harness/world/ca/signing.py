"""Signing certificates: a draft and an issuer's key become a certificate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ukey_harness.world.ca.identity import Identity, PrivateKey
from ukey_harness.world.ca.profile import Extensions, PublicKey


@dataclass(frozen=True)
class Draft:
    """What a certificate is to say; serial number, issuer and key identifiers come with signing."""

    subject: x509.Name
    public_key: PublicKey
    validity: tuple[datetime, datetime]
    extensions: Extensions


def sign(draft: Draft, issuer: Identity) -> x509.Certificate:
    """Return the draft's certificate, signed by `issuer`."""
    return _sign(draft, issuer.certificate.subject, issuer.key)


def sign_own(draft: Draft, key: PrivateKey) -> x509.Certificate:
    """Return the draft's certificate, signed by its own key: a root's."""
    return _sign(draft, draft.subject, key)


def _sign(draft: Draft, issuer: x509.Name, key: PrivateKey) -> x509.Certificate:
    start, end = draft.validity
    builder = (
        x509.CertificateBuilder()
        .subject_name(draft.subject)
        .issuer_name(issuer)
        .public_key(draft.public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(draft.public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
    )
    for value, critical in draft.extensions:
        builder = builder.add_extension(value, critical=critical)
    return builder.sign(key, hashes.SHA256())

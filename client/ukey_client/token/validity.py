"""Whether a certificate may be used at a moment."""

from datetime import datetime

from ukey_client.errors import CertificateExpired, CertificateNotYetValid
from ukey_client.token.port import HeldCertificate


def require_valid(certificate: HeldCertificate, now: datetime) -> None:
    """Raise CertificateExpired or CertificateNotYetValid outside of the validity."""
    if now < certificate.not_before:
        raise CertificateNotYetValid(certificate.owner, certificate.not_before)
    if now > certificate.not_after:
        raise CertificateExpired(certificate.owner, certificate.not_after)

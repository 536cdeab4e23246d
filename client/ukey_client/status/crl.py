"""Looking a certificate up in its CA's revocation list (RFC 5280 §5)."""

from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ukey_client.errors import CertificateRevoked, Unreachable
from ukey_client.network.exchange import Exchange

_SERVICE: Final = "证书吊销列表服务"
_LIMIT: Final = 16 * 1024 * 1024  # bytes
_OK: Final = 200


def addresses(certificate: x509.Certificate) -> list[str]:
    """Where the certificate says that the list is (RFC 5280 §4.2.1.13); http and https."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [
        name.value
        for point in points.value
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
        and name.value.lower().startswith(("http://", "https://"))
    ]


def look_up(
    url: str, subject: x509.Certificate, issuer: x509.Certificate, owner: str, now: datetime
) -> bytes:
    """Give the DER of a sound list that does not name the certificate.

    CertificateRevoked if it does, Unreachable if the list is not there or not sound.
    """
    with Exchange(url, _SERVICE) as exchange:
        answer = exchange.get(limit=_LIMIT)
    if answer.status != _OK:
        raise Unreachable(_SERVICE, url, f"HTTP {answer.status}")
    try:
        listed = x509.load_der_x509_crl(answer.body)
        sound = listed.issuer == subject.issuer and _verifies(listed, issuer)
    except ValueError as error:
        raise Unreachable(_SERVICE, url, "应答不是吊销列表") from error
    if not sound:
        raise Unreachable(_SERVICE, url, "吊销列表的签名无效")
    entry = listed.get_revoked_certificate_by_serial_number(subject.serial_number)
    if entry is not None:
        raise CertificateRevoked(owner, entry.revocation_date_utc)
    if listed.next_update_utc is not None and listed.next_update_utc < now:
        raise Unreachable(_SERVICE, url, "吊销列表已经过时")
    return answer.body


def _verifies(listed: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    return isinstance(
        key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    ) and listed.is_signature_valid(key)

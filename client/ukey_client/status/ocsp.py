"""Asking an OCSP responder (RFC 6960) about one certificate."""

from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from ukey_client.errors import CertificateRevoked, Unreachable
from ukey_client.network.exchange import Exchange

_SERVICE: Final = "证书状态服务"
_LIMIT: Final = 256 * 1024  # bytes
_OK: Final = 200


def addresses(
    certificate: x509.Certificate,
    method: x509.ObjectIdentifier = AuthorityInformationAccessOID.OCSP,
) -> list[str]:
    """Where the certificate says that its responder is (RFC 5280 §4.2.2.1); http and https."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [
        entry.access_location.value
        for entry in access.value
        if entry.access_method == method
        and isinstance(entry.access_location, x509.UniformResourceIdentifier)
        and entry.access_location.value.lower().startswith(("http://", "https://"))
    ]


def ask(
    url: str, subject: x509.Certificate, issuer: x509.Certificate, owner: str, now: datetime
) -> bytes:
    """Give the DER of a sound response that says `good`.

    CertificateRevoked if it says `revoked`, Unreachable for everything else.
    """
    # SHA-1 only names the issuer here; it is what every responder knows (RFC 5019 §2.1.1).
    builder = ocsp.OCSPRequestBuilder().add_certificate(subject, issuer, SHA1())  # noqa: S303
    request = builder.build().public_bytes(Encoding.DER)
    with Exchange(url, _SERVICE) as exchange:
        answer = exchange.post("", request, "application/ocsp-request", limit=_LIMIT)
    if answer.status != _OK:
        raise Unreachable(_SERVICE, url, f"HTTP {answer.status}")
    try:
        response = ocsp.load_der_ocsp_response(answer.body)
        fault = _fault(response, subject, issuer, now)
        revoked = not fault and response.certificate_status is ocsp.OCSPCertStatus.REVOKED
    except ValueError as error:
        raise Unreachable(_SERVICE, url, "应答不是 OCSP") from error
    if fault:
        raise Unreachable(_SERVICE, url, fault)
    if revoked:
        raise CertificateRevoked(owner, response.revocation_time_utc)
    return answer.body


def _fault(
    response: ocsp.OCSPResponse, subject: x509.Certificate, issuer: x509.Certificate, now: datetime
) -> str:
    """Say what makes a response worthless; empty if it is sound. `revoked` is sound at any age."""
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return response.response_status.name
    if response.serial_number != subject.serial_number:
        return "应答的不是这张证书"
    if not _signed_by_responder(response, issuer):
        return "应答的签名无效"
    if response.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        return "状态服务不认识这张证书"
    revoked = response.certificate_status is ocsp.OCSPCertStatus.REVOKED
    ends = response.next_update_utc
    return "应答已经过时" if ends is not None and ends < now and not revoked else ""


def _signed_by_responder(response: ocsp.OCSPResponse, issuer: x509.Certificate) -> bool:
    """RFC 6960 §4.2.2.2: the CA itself, or one whom it named for this by a certificate."""
    if _verifies(response, issuer):
        return True
    for delegate in response.certificates:
        try:
            delegate.verify_directly_issued_by(issuer)
            usage = delegate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            continue
        if ExtendedKeyUsageOID.OCSP_SIGNING in usage and _verifies(response, delegate):
            return True
    return False


def _verifies(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, digest = signer.public_key(), response.signature_hash_algorithm
    if digest is None:
        return False
    signed = response.tbs_response_bytes
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(response.signature, signed, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, signed, ec.ECDSA(digest))
        else:
            return False
    except InvalidSignature:
        return False
    return True

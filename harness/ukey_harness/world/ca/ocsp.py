"""The OCSP responder (RFC 6960): says of each certificate whether it is good, now.

certomancer builds the answers; what it is told comes from the register and the clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from certomancer.services import RevocationInfoInterface, SimpleOCSPResponder, choose_signed_digest
from cryptography import x509

from ukey_harness.world.ca.authority import CertificateAuthority
from ukey_harness.world.ca.profile import ISSUING

_FRESH_FOR = timedelta(minutes=10)


def answer(ca: CertificateAuthority, request: bytes) -> bytes:
    """Return the DER of the OCSP response to the DER of a request; bad requests get an answer too.

    The nonce of the request is echoed. A certificate of another issuer gets `unauthorized`, a
    serial number that was never given out the status `unknown`.
    """
    try:
        parsed = asn1_ocsp.OCSPRequest.load(request, strict=True)
        parsed.native  # noqa: B018, parsing is lazy: this reads all of it
    except (ValueError, TypeError):
        return bytes(asn1_ocsp.OCSPResponse({"response_status": "malformed_request"}).dump())
    responder = ca.identity("ocsp")
    certificate = responder.asn1_certificate()
    service = SimpleOCSPResponder(
        certificate,
        responder.asn1_key(),
        choose_signed_digest("sha256", certificate.public_key),
        ca.clock.now(),
        _Status(ca),
        validity=_FRESH_FOR,
    )
    return bytes(service.build_ocsp_response(parsed).dump())


class _Status(RevocationInfoInterface):
    """What the register says, in certomancer's terms."""

    def __init__(self, ca: CertificateAuthority) -> None:
        self._ca = ca

    def get_issuer_cert(self) -> asn1_x509.Certificate:
        return self._ca.identity(ISSUING).asn1_certificate()

    def check_revocation_status(
        self,
        cid: asn1_ocsp.CertId,
        at_time: datetime,  # noqa: ARG002
    ) -> tuple[asn1_ocsp.CertStatus, list[asn1_ocsp.SingleResponseExtension]]:
        entry = self._ca.register.find(cid["serial_number"].native)
        if entry is None or entry.issuer != ISSUING:
            return asn1_ocsp.CertStatus("unknown"), []
        if entry.revoked_at is None:
            return asn1_ocsp.CertStatus("good"), []
        revoked: dict[str, object] = {"revocation_time": entry.revoked_at}
        # An unspecified reason is left out (RFC 5280 §5.3.1).
        if entry.reason and entry.reason is not x509.ReasonFlags.unspecified:
            revoked["revocation_reason"] = entry.reason.name
        return asn1_ocsp.CertStatus({"revoked": revoked}), []

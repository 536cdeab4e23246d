"""The certificate revocation lists of root and issuing CA (RFC 5280 §5)."""

from __future__ import annotations

import threading
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from ukey_harness.world.ca.authority import CertificateAuthority
from ukey_harness.world.ca.profile import ISSUING, ROOT

_FRESH_FOR = {ROOT: timedelta(days=30), ISSUING: timedelta(days=1)}
_issue = threading.Lock()


def current(ca: CertificateAuthority, issuer: str) -> bytes:
    """Return the DER of the current CRL of `issuer` ("root" or "issuing").

    The last one is given again while it is valid and complete; otherwise a new one is issued,
    with the next CRL number (§5.2.3), so that a revocation stands in it at once.
    """
    with _issue:
        revoked = ca.register.revoked_of(issuer)
        last = ca.register.last_crl(issuer)
        now = ca.clock.now()
        if last is not None:
            number, entries, der = last
            crl = x509.load_der_x509_crl(der)
            until = crl.next_update_utc
            fresh = until is not None and crl.last_update_utc <= now < until
            if fresh and entries == len(revoked):
                return der
        signer = ca.identity(issuer)
        number = 1 if last is None else last[0] + 1
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(signer.certificate.subject)
            .last_update(now)
            .next_update(now + _FRESH_FOR[issuer])
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()),
                critical=False,
            )
        )
        for entry in revoked:
            if entry.revoked_at is None:
                continue
            line = (
                x509.RevokedCertificateBuilder()
                .serial_number(entry.serial)
                .revocation_date(entry.revoked_at)
            )
            # An unspecified reason is left out (§5.3.1).
            if entry.reason and entry.reason is not x509.ReasonFlags.unspecified:
                line = line.add_extension(x509.CRLReason(entry.reason), critical=False)
            builder = builder.add_revoked_certificate(line.build())
        der = builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)
        ca.register.add_crl(issuer, number, len(revoked), der)
        return der

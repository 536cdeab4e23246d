"""Whether a certificate still stands with its CA: OCSP first, the CRL where there is none."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID

from ukey_client.errors import CertificateUntrusted, Unreachable
from ukey_client.network.exchange import Exchange
from ukey_client.status import crl, ocsp
from ukey_client.token.port import HeldCertificate, common_name

_OK = 200
_CERTIFICATE_LIMIT = 64 * 1024  # bytes
_LONGEST_CHAIN = 8

__all__ = ["Evidence", "chain_of", "check_status", "collect_evidence"]


@dataclass(frozen=True)
class Evidence:
    """What the CA's services said: DER of OCSP responses and of CRLs."""

    ocsps: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()


def check_status(
    certificate: HeldCertificate, authorities: Sequence[x509.Certificate], now: datetime
) -> None:
    """Ask whether the certificate was revoked.

    CertificateRevoked if so; Unreachable if none of the services that it names gives a sound
    answer; CertificateUntrusted if its issuer is not known. A certificate that names no service
    passes: nobody can be asked.
    """
    if not (ocsp.addresses(certificate.certificate) or crl.addresses(certificate.certificate)):
        return
    issuer = _issuer_of(certificate.certificate, authorities)
    if issuer is None:
        raise CertificateUntrusted(certificate.owner, "找不到签发机构的证书")
    _ask(certificate.certificate, issuer, certificate.owner, now)


def collect_evidence(chains: Sequence[Sequence[x509.Certificate]], now: datetime) -> Evidence:
    """Collect what proves that these chains (leaf first) stand; faults as in `check_status`."""
    ocsps: dict[bytes, None] = {}
    crls: dict[bytes, None] = {}
    for chain in chains:
        for subject, issuer in itertools.pairwise(chain):
            found = _ask(subject, issuer, common_name(subject.subject), now)
            ocsps.update(dict.fromkeys(found.ocsps))
            crls.update(dict.fromkeys(found.crls))
    return Evidence(tuple(ocsps), tuple(crls))


def chain_of(
    certificate: x509.Certificate, authorities: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Build the path upwards, leaf first, as far as it goes.

    Issuers that are not among the authorities are fetched from where the certificate says that
    they are (RFC 5280 §4.2.2.1).
    """
    chain = [certificate]
    while chain[-1].subject != chain[-1].issuer and len(chain) < _LONGEST_CHAIN:
        try:
            issuer = _issuer_of(chain[-1], authorities)
        except Unreachable:
            break
        if issuer is None:
            break
        chain.append(issuer)
    return chain


def _issuer_of(
    subject: x509.Certificate, authorities: Sequence[x509.Certificate]
) -> x509.Certificate | None:
    """Find a certificate's issuer; Unreachable if it might be had where nobody answers."""
    known = next((one for one in authorities if _issued(one, subject)), None)
    return known or _fetch_issuer(subject)


def _ask(
    subject: x509.Certificate, issuer: x509.Certificate, owner: str, now: datetime
) -> Evidence:
    failure: Unreachable | None = None
    for url in ocsp.addresses(subject):
        try:
            return Evidence(ocsps=(ocsp.ask(url, subject, issuer, owner, now),))
        except Unreachable as error:
            failure = failure or error
    for url in crl.addresses(subject):
        try:
            return Evidence(crls=(crl.look_up(url, subject, issuer, owner, now),))
        except Unreachable as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return Evidence()


def _issued(issuer: x509.Certificate, subject: x509.Certificate) -> bool:
    try:
        subject.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 - ValueError, TypeError, InvalidSignature: all mean no
        return False
    return True


def _fetch_issuer(subject: x509.Certificate) -> x509.Certificate | None:
    failure: Unreachable | None = None
    for url in ocsp.addresses(subject, AuthorityInformationAccessOID.CA_ISSUERS):
        try:
            with Exchange(url, "证书颁发机构") as exchange:
                answer = exchange.get(limit=_CERTIFICATE_LIMIT)
            if answer.status != _OK:
                continue
            issuer = x509.load_der_x509_certificate(answer.body)
        except Unreachable as error:
            failure = failure or error
            continue
        except ValueError:
            continue
        if _issued(issuer, subject):
            return issuer
    if failure is not None:
        raise failure
    return None


def der_of(certificates: Sequence[x509.Certificate]) -> list[bytes]:
    """Encode certificates as DER."""
    return [one.public_bytes(Encoding.DER) for one in certificates]

"""What proves later that the certificates stood when the seal was put on (PAdES B-LT)."""

from collections.abc import Sequence
from datetime import datetime

from asn1crypto import crl, ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from pyhanko_certvalidator import ValidationContext

from ukey_client.sealing.timestamp import TimeAuthority
from ukey_client.status import chain_of, collect_evidence, der_of


def validation_context(
    chain: Sequence[x509.Certificate],
    known: Sequence[x509.Certificate],
    time_authority: TimeAuthority,
    now: datetime,
) -> ValidationContext:
    """Collect the status of every certificate in the chains of holder and time authority.

    The time authority must have answered once before. Nothing is fetched by pyHanko.
    """
    authority_chains = [chain_of(one, known) for one in time_authority.certificates()]
    evidence = collect_evidence([chain, *authority_chains], now)
    everyone = [one for path in (chain, *authority_chains) for one in path]
    roots = [one for one in everyone if one.subject == one.issuer]
    return ValidationContext(
        trust_roots=[asn1_x509.Certificate.load(der) for der in der_of(roots)],
        other_certs=[asn1_x509.Certificate.load(der) for der in der_of(everyone)],
        ocsps=[ocsp.OCSPResponse.load(der) for der in evidence.ocsps],
        crls=[crl.CertificateList.load(der) for der in evidence.crls],
        allow_fetching=False,
        revocation_mode="soft-fail",
    )

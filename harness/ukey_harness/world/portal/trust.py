"""Whether a signer's certificate is good now: chain, validity, use, revocation (RFC 5280 §6)."""

from __future__ import annotations

import asyncio
import logging
from enum import Enum
from typing import Final

from asn1crypto import core, crl, ocsp, x509
from cryptography import x509 as pyca
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import (
    ExpiredError,
    InsufficientRevinfoError,
    NotYetValidError,
    PathError,
    RevokedError,
    ValidationError,
)
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.policy_decl import (
    NO_REVOCATION,
    CertRevTrustPolicy,
    RevocationCheckingPolicy,
    RevocationCheckingRule,
)

from .refusals import PortalRefusal
from .revocation import StatusFetcher
from .settings import PortalSettings

_log = logging.getLogger(__name__)

UNIT_IDENTIFIER_OID: Final = "1.2.156.112586.1.4"
"""The extension in which the CA puts the unit's identifier, a DER string."""

_UNDERSTOOD_CRITICAL: Final = frozenset(
    {
        "basic_constraints",
        "key_usage",
        "extended_key_usage",
        "certificate_policies",
        "subject_alt_name",
        "issuer_alt_name",
        "name_constraints",
        "policy_constraints",
        "inhibit_any_policy",
        UNIT_IDENTIFIER_OID,
    }
)

_CHECKED: Final = RevocationCheckingPolicy(
    ee_certificate_rule=RevocationCheckingRule.CRL_OR_OCSP_REQUIRED,
    intermediate_ca_cert_rule=RevocationCheckingRule.CHECK_IF_DECLARED,
)


class Purpose(Enum):
    """What a certificate is used for.

    The value: key usages of which one must be there, and extended key usages of which one must
    be there if there are any.
    """

    LOGIN = (
        frozenset({"digital_signature"}),
        frozenset({"client_auth", "any_extended_key_usage"}),
    )
    SEAL = (
        frozenset({"digital_signature", "non_repudiation"}),
        # Document signing: RFC 9336. Units' certificates here carry clientAuth and sign too.
        frozenset(
            {"client_auth", "email_protection", "any_extended_key_usage", "1.3.6.1.5.5.7.3.36"}
        ),
    )


class Trust:
    """The portal's judgement of certificates, by the world's clock."""

    def __init__(self, settings: PortalSettings) -> None:
        self._settings = settings
        self._roots = [as_asn1(root) for root in settings.trust_roots]
        self._intermediates = [as_asn1(cert) for cert in settings.intermediates]
        self._fetcher = StatusFetcher(settings.limits.status_seconds)

    def require(
        self,
        certificate: x509.Certificate,
        others: tuple[x509.Certificate, ...],
        purpose: Purpose,
    ) -> str:
        """Judge a signer's certificate and return the unit identifier inside it.

        others: certificates that came along, candidates for the chain, not trusted.
        May ask the CA over HTTP: call it from a worker thread, not from an event loop.
        Raises chain_invalid, certificate_expired, certificate_not_yet_valid, usage_invalid,
        certificate_revoked, status_unavailable, identifier_missing.
        """
        path = asyncio.run(self._require_path(certificate, others))
        _require_use(certificate, purpose)
        asyncio.run(self._require_unrevoked(certificate, path))
        return unit_identifier(certificate)

    def timestamp_context(self, others: tuple[x509.Certificate, ...]) -> ValidationContext:
        """Return pyHanko's context for judging a time-stamp's chain, without asking anybody."""
        return self._context(others, NO_REVOCATION)

    async def _require_path(
        self, certificate: x509.Certificate, others: tuple[x509.Certificate, ...]
    ) -> ValidationPath:
        """Build and verify the chain, without revocation."""
        try:
            context = self._context(others, NO_REVOCATION)
            path = await CertificateValidator(
                certificate, validation_context=context
            ).async_validate_path()
        except (ExpiredError, NotYetValidError) as error:
            if not error.is_ee_cert:
                raise PortalRefusal("chain_invalid") from error
            code = (
                "certificate_expired"
                if isinstance(error, ExpiredError)
                else "certificate_not_yet_valid"
            )
            raise PortalRefusal(code) from error
        except (PathError, ValidationError) as error:
            raise PortalRefusal("chain_invalid") from error
        except Exception as error:
            # The certificate is a stranger's: what the library trips over is a bad chain.
            _log.warning("a chain could not be judged: %s", type(error).__name__)
            raise PortalRefusal("chain_invalid") from error
        for extension in certificate["tbs_certificate"]["extensions"]:
            if extension["critical"].native and (
                extension["extn_id"].native not in _UNDERSTOOD_CRITICAL
            ):
                raise PortalRefusal("chain_invalid")
        return path

    async def _require_unrevoked(self, certificate: x509.Certificate, path: ValidationPath) -> None:
        """Ask for the status of each certificate below the root; OCSP first, then CRLs."""
        chain = list(path.iter_certs(include_root=True))
        below = list(zip(chain[1:], chain[:-1], strict=True))
        if not below:
            raise PortalRefusal("chain_invalid")
        asked = await asyncio.gather(*(self._fetcher.responses(cert, ca) for cert, ca in below))
        answers = [answer for some in asked for answer in some]
        if await self._judged(certificate, chain, answers, []):
            return
        fetched = await asyncio.gather(*(self._fetcher.crls(cert) for cert, _ in below))
        lists = [one for some in fetched for one in some]
        if not await self._judged(certificate, chain, answers, lists):
            raise PortalRefusal("status_unavailable")

    async def _judged(
        self,
        certificate: x509.Certificate,
        chain: list[x509.Certificate],
        answers: list[ocsp.OCSPResponse],
        lists: list[crl.CertificateList],
    ) -> bool:
        """Whether the statuses fetched suffice and are good; revoked is refused at once."""
        context = self._context(tuple(chain), _CHECKED, answers, lists)
        try:
            await CertificateValidator(
                certificate, validation_context=context
            ).async_validate_path()
        except RevokedError as error:
            code = "certificate_revoked" if error.is_ee_cert else "chain_invalid"
            raise PortalRefusal(code) from error
        except InsufficientRevinfoError:
            return False
        except ExpiredError as error:  # the clock was turned between the two looks
            raise PortalRefusal("certificate_expired") from error
        except (PathError, ValidationError) as error:
            raise PortalRefusal("chain_invalid") from error
        return True

    def _context(
        self,
        others: tuple[x509.Certificate, ...],
        policy: RevocationCheckingPolicy,
        answers: list[ocsp.OCSPResponse] | None = None,
        lists: list[crl.CertificateList] | None = None,
    ) -> ValidationContext:
        return ValidationContext(
            trust_roots=self._roots,
            other_certs=[*self._intermediates, *others],
            moment=self._settings.clock.now(),
            allow_fetching=False,
            ocsps=answers or [],
            crls=lists or [],
            revinfo_policy=CertRevTrustPolicy(policy),
        )


def as_asn1(certificate: pyca.Certificate) -> x509.Certificate:
    """Return a certificate of `cryptography` as asn1crypto's."""
    return x509.Certificate.load(certificate.public_bytes(Encoding.DER))


def unit_identifier(certificate: x509.Certificate) -> str:
    """Return the unit identifier inside a certificate; raises identifier_missing."""
    for extension in certificate["tbs_certificate"]["extensions"]:
        if extension["extn_id"].dotted != UNIT_IDENTIFIER_OID:
            continue
        try:
            value = core.load(extension["extn_value"].contents, strict=True)
        except ValueError:
            break
        if isinstance(value, core.UTF8String | core.PrintableString | core.IA5String):
            identifier = value.native.strip()
            if identifier and identifier.isprintable():
                return str(identifier)
        break
    raise PortalRefusal("identifier_missing")


def unit_name(certificate: x509.Certificate) -> str:
    """Return the name to show for a certificate's unit: common name, else organisation."""
    subject = certificate.subject.native
    for part in ("common_name", "organization_name"):
        value = subject.get(part)
        if isinstance(value, list):
            value = value[0]
        if value:
            return str(value)
    return "（证书中没有单位名称）"


def _require_use(certificate: x509.Certificate, purpose: Purpose) -> None:
    usages, extended = purpose.value
    if certificate.ca:
        raise PortalRefusal("usage_invalid", "这是证书颁发机构的证书，不能用于此操作。")
    key_usage = certificate.key_usage_value
    if key_usage is None or not usages & key_usage.native:
        raise PortalRefusal("usage_invalid")
    extended_usage = certificate.extended_key_usage_value
    if extended_usage is not None and not extended & set(extended_usage.native):
        raise PortalRefusal("usage_invalid")

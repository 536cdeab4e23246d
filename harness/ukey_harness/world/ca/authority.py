"""The certificate authority: it issues, renews and revokes, and keeps its register.

It is an authority for tests only: its root is trusted by nobody, and its keys lie in plain files.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ukey_harness.world.ca import profile as profiles
from ukey_harness.world.ca.errors import (
    AuthorityError,
    CertificateRevokedError,
    RenewalTooEarlyError,
    RenewalTooLateError,
    RequestError,
    UnknownCertificateError,
    ValidityError,
)
from ukey_harness.world.ca.founding import check_url, found, load, pointers
from ukey_harness.world.ca.identity import Identity, KeyFolder
from ukey_harness.world.ca.profile import ISSUING, ROOT, HolderProfile
from ukey_harness.world.ca.register import Entry, Register
from ukey_harness.world.ca.signing import Draft, sign
from ukey_harness.world.clock import Clock
from ukey_harness.world.units import Unit

_YEAR = timedelta(days=365)
_RENEWED_FOR = _YEAR
_RENEWABLE_AFTER_EXPIRY = _YEAR


class CertificateAuthority:
    """An authority with a root and an issuing CA, whose state lies in one folder.

    `open` finds the authority of the folder again, or founds a new one. All times are the
    clock's. `renewable_before` is how long before expiry a certificate can be renewed at the
    earliest, None for at any time; real authorities take 90 days.
    """

    def __init__(
        self, register: Register, identities: dict[str, Identity], url: str, clock: Clock
    ) -> None:
        self.register = register
        self.clock = clock
        self.url = url
        self.renewable_before: timedelta | None = None
        self._identities = identities

    @classmethod
    def open(cls, folder: Path, url: str, clock: Clock) -> Self:
        """Open the authority in `folder`, which answers at `url`; found it where there is none.

        AuthorityError where its files are damaged, or where it has answered at another URL: its
        certificates name that URL for ever.
        """
        register = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            keys = KeyFolder(folder / "keys")
            register = Register(folder / "ca.sqlite")
            if register.of_role(ROOT) is None:
                identities = found(register, keys, url, clock)
            else:
                identities = load(register, keys)
                check_url(identities[ISSUING].certificate, url)
        except BaseException as error:
            if register is not None:
                register.close()
            if isinstance(error, OSError | TypeError | ValueError | sqlite3.Error):
                raise AuthorityError(
                    f"the certificate authority in {folder} cannot be opened ({error}): "
                    "repair or remove the folder; without it a new one is founded"
                ) from error
            raise
        return cls(register, identities, url, clock)

    def close(self) -> None:
        """Close the register."""
        self.register.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def root(self) -> x509.Certificate:
        """The root's certificate: the trust anchor."""
        return self._identities[ROOT].certificate

    @property
    def issuing(self) -> x509.Certificate:
        """The certificate of the CA that issues the units' certificates."""
        return self._identities[ISSUING].certificate

    def chain(self) -> list[x509.Certificate]:
        """Return the certificates above a unit's: the issuing CA's, then the root's."""
        return [self.issuing, self.root]

    def identity(self, role: str) -> Identity:
        """Return key and certificate of "root", "issuing", "ocsp", "tsa" or "cmp"."""
        return self._identities[role]

    def issue(
        self,
        public_key: object,
        unit: Unit,
        *,
        days: int = 365,
        not_before: datetime | None = None,
        profile: HolderProfile | None = None,
    ) -> x509.Certificate:
        """Issue a certificate for the unit's public key, valid `days` days from `not_before`.

        Without `not_before` it is valid from now on. PublicKeyError or ValidityError where the
        key or the validity is not to be had.
        """
        profile = profile or HolderProfile()
        start = not_before or self.clock.now()
        return self._issue_holder(
            public_key,
            profiles.unit_name(unit),
            (start, start + timedelta(days=days)),
            profiles.holder_extensions(unit.identifier, profile),
            unit=unit,
        )

    def issue_from_request(
        self, request: bytes, unit: Unit, *, days: int = 365, not_before: datetime | None = None
    ) -> x509.Certificate:
        """Issue a certificate for the key in a PKCS#10 request (DER, RFC 2986).

        The request's signature proves possession of the private key; the names come from the
        unit that the counter has identified, not from the request.
        """
        try:
            parsed = x509.load_der_x509_csr(request)
            genuine = parsed.is_signature_valid
            public_key = parsed.public_key()
        except (ValueError, TypeError, InvalidSignature) as error:
            raise RequestError(f"this is not a PKCS#10 request in DER: {error}") from error
        if not genuine:
            raise RequestError(
                "the signature of the PKCS#10 request does not verify under the public key in "
                "it: the requester has not proved to hold the private key"
            )
        return self.issue(public_key, unit, days=days, not_before=not_before)

    def renew(self, old: x509.Certificate, public_key: object) -> x509.Certificate:
        """Issue the successor of `old` for `public_key`: same subject, identifier and usages.

        An unexpired certificate is renewed to one year from its expiry, an expired one to one
        year from now, and that for one year after its expiry. The old one stays valid.
        """
        entry = self._entry_of(old)
        if entry.revoked_at is not None:
            raise CertificateRevokedError(
                f"the certificate {entry.serial:X} was revoked on {entry.revoked_at:%Y-%m-%d} "
                "and cannot be renewed: a new one has to be applied for"
            )
        now, expiry = self.clock.now(), old.not_valid_after_utc
        if now > expiry + _RENEWABLE_AFTER_EXPIRY:
            raise RenewalTooLateError(
                f"the certificate {entry.serial:X} expired on {expiry:%Y-%m-%d}, more than "
                f"{_RENEWABLE_AFTER_EXPIRY.days} days ago: a new one has to be applied for"
            )
        if self.renewable_before is not None and now < expiry - self.renewable_before:
            raise RenewalTooEarlyError(
                f"the certificate {entry.serial:X} can be renewed from "
                f"{expiry - self.renewable_before:%Y-%m-%d} on"
            )
        kept = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage)
        extensions = [
            (extension.value, extension.critical)
            for extension in old.extensions
            if isinstance(extension.value, kept) or extension.oid == profiles.UNIT_IDENTIFIER
        ]
        return self._issue_holder(
            public_key,
            old.subject,
            (now, max(now, expiry) + _RENEWED_FOR),
            extensions,
            unit=entry.unit,
            renews=entry.serial,
        )

    def revoke(
        self, serial: int, reason: x509.ReasonFlags | str = x509.ReasonFlags.unspecified
    ) -> None:
        """Revoke a certificate from now on; OCSP says so at once, the CRLs with the next fetch.

        `reason` is one of RFC 5280 §5.3.1, as "keyCompromise". UnknownCertificateError or
        CertificateRevokedError where there is nothing to revoke.
        """
        try:
            flag = x509.ReasonFlags(reason)
        except ValueError as error:
            known = ", ".join(flag.value for flag in x509.ReasonFlags)
            raise AuthorityError(
                f"{reason!r} is not a reason of revocation: one of {known}"
            ) from error
        if flag is x509.ReasonFlags.remove_from_crl:
            raise AuthorityError("a revocation is not taken back: issue a new certificate")
        self.register.revoke(serial, self.clock.now(), flag)

    def is_revoked(self, serial: int) -> bool:
        """Tell whether a certificate is revoked; UnknownCertificateError if it was never issued."""
        entry = self.register.find(serial)
        if entry is None:
            raise UnknownCertificateError(
                f"no certificate with serial number {serial:X} was issued"
            )
        return entry.revoked_at is not None

    def _issue_holder(
        self,
        public_key: object,
        subject: x509.Name,
        validity: tuple[datetime, datetime],
        extensions: list[tuple[x509.ExtensionType, bool]],
        *,
        unit: Unit | None,
        renews: int | None = None,
    ) -> x509.Certificate:
        key = profiles.check_public_key(public_key)
        _check_validity(validity, self.issuing)
        addresses = [(value, False) for value in pointers(self.url, ISSUING).extensions()]
        draft = Draft(subject, key, validity, [*extensions, *addresses])
        certificate = sign(draft, self._identities[ISSUING])
        self.register.add(
            certificate,
            issuer=ISSUING,
            role="holder",
            issued_at=self.clock.now(),
            unit=unit,
            renews=renews,
        )
        return certificate

    def _entry_of(self, certificate: x509.Certificate) -> Entry:
        entry = self.register.find(certificate.serial_number)
        if entry is None or entry.role != "holder" or entry.certificate != certificate:
            raise UnknownCertificateError(
                f"the certificate {certificate.serial_number:X} was not issued by this authority"
            )
        return entry


def _check_validity(
    validity: tuple[datetime, datetime], issuer_certificate: x509.Certificate
) -> None:
    start, end = validity
    if start >= end:
        raise ValidityError(f"a validity from {start} to {end} is empty")
    first, last = issuer_certificate.not_valid_before_utc, issuer_certificate.not_valid_after_utc
    if start < first or end > last:
        raise ValidityError(
            f"a validity from {start:%Y-%m-%d} to {end:%Y-%m-%d} is not within that of the "
            f"issuing CA, {first:%Y-%m-%d} to {last:%Y-%m-%d}"
        )

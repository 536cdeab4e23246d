"""The authority's register: every certificate it has issued, and what became of it.

Plain SQL in one SQLite file; each change is one transaction.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ukey_harness.world.ca.errors import CertificateRevokedError, UnknownCertificateError
from ukey_harness.world.units import Unit

_LOCK_WAIT = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS certificates (
    serial TEXT PRIMARY KEY,
    issuer TEXT NOT NULL,
    role TEXT NOT NULL,
    der BLOB NOT NULL,
    unit_name TEXT,
    unit_identifier TEXT,
    unit_number TEXT,
    renews TEXT REFERENCES certificates (serial),
    issued_at TEXT NOT NULL,
    revoked_at TEXT,
    reason TEXT
);
CREATE INDEX IF NOT EXISTS certificates_of_issuer ON certificates (issuer, revoked_at);
CREATE TABLE IF NOT EXISTS crls (
    issuer TEXT NOT NULL,
    number INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    der BLOB NOT NULL,
    PRIMARY KEY (issuer, number)
);
"""
_COLUMNS = (
    "serial, issuer, role, der, unit_name, unit_identifier, unit_number, issued_at,"
    " revoked_at, reason"
)


@dataclass(frozen=True)
class Entry:
    """What the register holds on one certificate; `revoked_at` is None while it is good."""

    serial: int
    issuer: str
    role: str
    der: bytes
    unit: Unit | None
    issued_at: datetime
    revoked_at: datetime | None
    reason: x509.ReasonFlags | None

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate itself."""
        return x509.load_der_x509_certificate(self.der)


class Register:
    """The register in the SQLite file `path`; safe for use by many threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, timeout=_LOCK_WAIT, check_same_thread=False)
        try:
            path.chmod(0o600)
            self._database.executescript(_SCHEMA)
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def add(
        self,
        certificate: x509.Certificate,
        *,
        issuer: str,
        role: str,
        issued_at: datetime,
        unit: Unit | None = None,
        renews: int | None = None,
    ) -> None:
        """Enter a certificate that `issuer` ("root" or "issuing") has issued for `role`."""
        row = (
            _key(certificate.serial_number),
            issuer,
            role,
            certificate.public_bytes(Encoding.DER),
            unit and unit.name,
            unit and unit.identifier,
            unit and unit.number,
            None if renews is None else _key(renews),
            issued_at.isoformat(),
        )
        with self._lock, self._database:
            self._database.execute(
                "INSERT INTO certificates (serial, issuer, role, der, unit_name,"
                " unit_identifier, unit_number, renews, issued_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )

    def find(self, serial: int) -> Entry | None:
        """Return the entry of the certificate with this serial number, None if there is none."""
        found = self._select("WHERE serial = ?", _key(serial))
        return found[0] if found else None

    def of_role(self, role: str) -> Entry | None:
        """Return the entry of the newest certificate of `role`, None if there is none."""
        found = self._select("WHERE role = ? ORDER BY rowid DESC LIMIT 1", role)
        return found[0] if found else None

    def revoked_of(self, issuer: str) -> list[Entry]:
        """Return the revoked certificates of `issuer`, in the order of their revocation."""
        return self._select(
            "WHERE issuer = ? AND revoked_at IS NOT NULL ORDER BY revoked_at, serial", issuer
        )

    def holders(self) -> list[Entry]:
        """Return the certificates of units, oldest first."""
        return self._select("WHERE role = 'holder' ORDER BY rowid")

    def revoke(self, serial: int, at: datetime, reason: x509.ReasonFlags) -> None:
        """Mark the certificate as revoked.

        UnknownCertificateError or CertificateRevokedError where that cannot be.
        """
        with self._lock, self._database:
            changed = self._database.execute(
                "UPDATE certificates SET revoked_at = ?, reason = ?"
                " WHERE serial = ? AND revoked_at IS NULL",
                (at.isoformat(), reason.value, _key(serial)),
            ).rowcount
        if changed:
            return
        if self.find(serial) is None:
            raise UnknownCertificateError(
                f"no certificate with serial number {serial:X} was issued"
            )
        raise CertificateRevokedError(f"the certificate {serial:X} has been revoked already")

    def last_crl(self, issuer: str) -> tuple[int, int, bytes] | None:
        """Return number, count of entries and DER of the newest CRL of `issuer`, if any."""
        with self._lock:
            row: tuple[int, int, bytes] | None = self._database.execute(
                "SELECT number, entries, der FROM crls WHERE issuer = ?"
                " ORDER BY number DESC LIMIT 1",
                (issuer,),
            ).fetchone()
        return row

    def add_crl(self, issuer: str, number: int, entries: int, der: bytes) -> None:
        """Enter a new CRL of `issuer`; its number must be a new one."""
        with self._lock, self._database:
            self._database.execute(
                "INSERT INTO crls (issuer, number, entries, der) VALUES (?, ?, ?, ?)",
                (issuer, number, entries, der),
            )

    def _select(self, where: str, *values: str) -> list[Entry]:
        with self._lock:
            rows = self._database.execute(
                f"SELECT {_COLUMNS} FROM certificates {where}",  # noqa: S608, ours alone
                values,
            ).fetchall()
        return [_entry(row) for row in rows]


def _key(serial: int) -> str:
    # Serial numbers have up to 20 octets (RFC 5280 §4.1.2.2), SQL integers only 8.
    return f"{serial:x}"


def _entry(row: tuple[str, str, str, bytes, str | None, str, str, str, str | None, str]) -> Entry:
    serial, issuer, role, der, name, identifier, number, issued_at, revoked_at, reason = row
    return Entry(
        serial=int(serial, 16),
        issuer=issuer,
        role=role,
        der=der,
        unit=None if name is None else Unit(name, identifier, number),
        issued_at=datetime.fromisoformat(issued_at),
        revoked_at=None if revoked_at is None else datetime.fromisoformat(revoked_at),
        reason=None if revoked_at is None else x509.ReasonFlags(reason),
    )

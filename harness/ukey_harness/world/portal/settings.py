"""What the portal is told from outside: where it stands, whom it trusts, what it allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

from ukey_harness.world.clock import Clock

CHINA = timezone(timedelta(hours=8), "CST")
"""Months and dates of the reporting are those of China (GB/T 7408): UTC+8, no summer time."""

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """How long and how large things may be; times are the world clock's."""

    challenge: timedelta = timedelta(seconds=120)
    ticket: timedelta = timedelta(seconds=60)
    session_idle: timedelta = timedelta(minutes=30)
    session_whole: timedelta = timedelta(hours=8)
    bind_tries: int = 5
    bind_lock: timedelta = timedelta(hours=1)
    status_seconds: float = 4.0
    """How many real seconds one request to an OCSP responder or for a CRL may take."""
    body_seconds: float = 30.0
    """How many real seconds the body of a request may take to arrive."""
    form_bytes: int = 256 * 1024
    sealed_bytes: int = 20 * MIB


@dataclass(frozen=True)
class PortalSettings:
    """Everything that `create_portal` needs.

    origin: scheme, host and port under which the portal is reached, without a trailing slash
    (RFC 6454 §6.1); challenges are bound to it and requests for another host are refused.
    folder: where the portal keeps its database; made if absent.
    clock: the one source of time. trust_roots: the anchors of every chain.
    intermediates: issuing certificates that signers need not bring along.
    authority: base address of the CA, shown in the commands that need it; may be left empty.
    """

    origin: str
    folder: Path
    clock: Clock
    trust_roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()
    authority: str = ""
    site: str = "示例市社会保险网上申报系统"
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        parts = urlsplit(self.origin)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{self.origin!r} is no origin: http://HOST:PORT is needed")
        if self.origin != f"{parts.scheme}://{parts.netloc}":
            raise ValueError(
                f"{self.origin!r} is no origin: leave away the path, as in "
                f"{parts.scheme}://{parts.netloc}"
            )
        if not self.trust_roots:
            raise ValueError("trust_roots is empty: no certificate could ever log in")

    @property
    def host(self) -> str:
        """The only Host header (RFC 9110 §7.2) that the portal answers to: host and port."""
        return urlsplit(self.origin).netloc

    @property
    def secure(self) -> bool:
        """Whether the portal is reached over TLS, so that cookies can be kept to it."""
        return urlsplit(self.origin).scheme == "https"

"""Renewal of a certificate (延期): a new pair on the key, its certificate over CMP."""

from ukey_client.renewal.errors import (
    AnswerOdd,
    CertificateUnacceptable,
    RenewalPending,
    RenewalRefused,
    RenewalUnconfirmed,
    ResponseUntrusted,
)
from ukey_client.renewal.renew import renew
from ukey_client.renewal.transaction import Terms

__all__ = [
    "AnswerOdd",
    "CertificateUnacceptable",
    "RenewalPending",
    "RenewalRefused",
    "RenewalUnconfirmed",
    "ResponseUntrusted",
    "Terms",
    "renew",
]

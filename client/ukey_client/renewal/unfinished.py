"""How a renewal that broke is recognised on the key: by the labels it gives.

A new pair, and then its certificate, bear a label that names the certificate which they are to
succeed. The name is taken off when that certificate has gone. So whatever bears such a label
was made by a renewal, and nothing else on the key is ever touched.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from ukey_client.token.port import HeldCertificate, Holding

_MARK: Final = re.compile(r"（续期 ([0-9a-f]{16})）$")


def marked_label(old: HeldCertificate) -> str:
    """Return the label of what is to succeed a certificate."""
    return f"{plain_label(old.label)}（续期 {_name(old)}）"


def plain_label(label: str) -> str:
    """Return a label without the mark of a renewal."""
    return _MARK.sub("", label)


def is_marked(label: str) -> bool:
    """Whether a label bears the mark of a renewal."""
    return _MARK.search(label) is not None


def successors(holdings: Iterable[Holding], old: HeldCertificate) -> list[HeldCertificate]:
    """Return the certificates that were to succeed this one, the newest first."""
    found = [
        one.certificate
        for one in holdings
        if one.certificate is not None and _marks(one.certificate.label, old)
    ]
    return sorted(found, key=lambda one: (one.not_after, one.not_before), reverse=True)


def predecessor(
    holdings: Iterable[Holding], certificate: HeldCertificate
) -> HeldCertificate | None:
    """Return the certificate that this one was to succeed, if it is still there."""
    for one in holdings:
        if one.certificate is not None and _marks(certificate.label, one.certificate):
            return one.certificate
    return None


def orphans(holdings: Iterable[Holding], old: HeldCertificate) -> list[bytes]:
    """Return the CKA_IDs of keys that were to succeed this certificate and never got their own."""
    return [
        one.id
        for one in holdings
        if one.certificate is None
        and one.key_labels
        and all(_marks(label, old) for label in one.key_labels)
    ]


def has_key(holdings: Iterable[Holding], certificate: HeldCertificate) -> bool:
    """Whether the private key of a certificate is on the key."""
    return any(one.id == certificate.id and one.has_private_key for one in holdings)


def _marks(label: str, old: HeldCertificate) -> bool:
    mark = _MARK.search(label)
    return mark is not None and mark[1] == _name(old)


def _name(certificate: HeldCertificate) -> str:
    return hashlib.sha256(certificate.der).hexdigest()[:16]

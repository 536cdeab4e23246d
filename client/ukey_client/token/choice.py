"""Which certificate on a key is meant."""

from collections.abc import Callable, Sequence
from datetime import datetime

from ukey_client.errors import CertificateAbsent, CertificateAmbiguous
from ukey_client.token.port import HeldCertificate, Token, describe
from ukey_client.token.uri import TokenUri


def choose_certificate(
    token: Token,
    uri: str | None,
    now: datetime,
    ask: Callable[[Sequence[HeldCertificate]], HeldCertificate] | None = None,
) -> HeldCertificate:
    """Choose the certificate that the URI names, the only one, the only valid one, or ask.

    CertificateAbsent if none fits; CertificateAmbiguous if several do and nobody can be asked.
    One that is damaged is chosen only if there is no other: its use says what is wrong with it.
    """
    wanted = TokenUri.parse(uri) if uri else None
    held = token.certificates()
    if wanted is not None:
        held = [one for one in held if wanted.matches_certificate(one)]
    if not held:
        raise CertificateAbsent(uri if wanted is not None and wanted.names_object else None)
    if len(held) == 1:
        return held[0]
    held = [one for one in held if not one.is_damaged] or held[:1]
    if len(held) == 1:
        return held[0]
    valid = [one for one in held if one.not_before <= now <= one.not_after]
    if len(valid) == 1:
        return valid[0]
    if ask is None:
        raise CertificateAmbiguous(describe(valid or held))
    return ask(valid or held)

"""Whom a holder believes: that an answer comes from the CA, that a certificate is the CA's."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.verification import (
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from ukey_client.renewal.cmp.certificates import parse_certificate
from ukey_client.renewal.cmp.decode import same_name
from ukey_client.renewal.cmp.message import MalformedMessage, Message
from ukey_client.renewal.cmp.protection import AlgorithmRefused, SignatureWrong, verify
from ukey_client.renewal.errors import CertificateUnacceptable, ResponseUntrusted

# Extended key usages of a key that speaks CMP for a CA (RFC 9810 §4.5): cmcCA and cmcRA.
_CMP_SIGNERS: Final = {
    x509.ObjectIdentifier("1.3.6.1.5.5.7.3.27"),
    x509.ObjectIdentifier("1.3.6.1.5.5.7.3.28"),
}


class Trust:
    """Judges by trust anchors; `others` are certificates that may help to build a path.

    A trust anchor that is no CA's certificate is a CMP server's own, pinned.
    """

    def __init__(
        self,
        anchors: Sequence[x509.Certificate],
        others: Iterable[x509.Certificate],
        now: Callable[[], datetime],
    ) -> None:
        self._anchors = list(anchors)
        self._others = list(others)
        self._now = now

    def check_protection(self, message: Message, of_ca: x509.Certificate) -> None:
        """Check that a message is protected by the CA which has issued `of_ca`.

        That is the issuing CA itself, a pinned certificate, or one below a trust anchor whose
        extended key usage lets it speak CMP: that a certificate leads to the same root is not
        enough, as any other holder's does. ResponseUntrusted says what is wrong.
        """
        header = message.header
        if message.protection is None or header.protection_alg is None:
            raise ResponseUntrusted("应答没有签名")
        sent = _parsed(message.extra_certs)
        candidates = [
            one
            for one in [*sent, *self._anchors, *self._others]
            if same_name(header.sender, one.subject.public_bytes())
        ]
        for signer in candidates:
            try:
                verify(
                    signer.public_key(),
                    header.protection_alg,
                    message.protection,
                    message.protected_part,
                )
            except (SignatureWrong, AlgorithmRefused, ValueError):
                continue
            self._check_signer(signer, sent, of_ca)
            return
        raise ResponseUntrusted("应答的签名无效，或签名的证书不详")

    def check_certificate(self, certificate: x509.Certificate, sent: Iterable[bytes]) -> None:
        """Check that a new certificate leads to a trust anchor; CertificateUnacceptable."""
        # A CA's clock may be ahead of ours: then the certificate counts from its begin.
        moment = max(self._now(), certificate.not_valid_before_utc)
        try:
            self._build_path(certificate, _parsed(sent), moment)
        except VerificationError as error:
            raise CertificateUnacceptable(f"证书链无效：{error}") from error

    def _check_signer(
        self, signer: x509.Certificate, sent: list[x509.Certificate], of_ca: x509.Certificate
    ) -> None:
        moment = self._now()
        if not signer.not_valid_before_utc <= moment <= signer.not_valid_after_utc:
            raise ResponseUntrusted("签名的证书不在有效期内")
        if not _may_sign(signer):
            raise ResponseUntrusted("签名的证书不能用于签名")
        if signer in self._anchors and not _is_authority(signer):
            return
        try:
            self._build_path(signer, sent, moment)
        except VerificationError as error:
            raise ResponseUntrusted(f"签名的证书不是认证机构的：{error}") from error
        if not (_speaks_cmp(signer) or _has_issued(signer, of_ca)):
            raise ResponseUntrusted("签名的证书不是认证机构的")

    def _build_path(
        self, certificate: x509.Certificate, sent: list[x509.Certificate], moment: datetime
    ) -> None:
        verifier = (
            PolicyBuilder()
            .store(Store(self._anchors))
            .time(moment)
            .extension_policies(
                ca_policy=ExtensionPolicy.webpki_defaults_ca(),
                ee_policy=ExtensionPolicy.permit_all(),
            )
            .build_client_verifier()
        )
        verifier.verify(certificate, [*sent, *self._others])


def _parsed(certificates: Iterable[bytes]) -> list[x509.Certificate]:
    """Parse what can be parsed: what else the CA sends along is no harm."""
    parsed = []
    for der in certificates:
        with contextlib.suppress(MalformedMessage):
            parsed.append(parse_certificate(der))
    return parsed


def _may_sign(certificate: x509.Certificate) -> bool:
    """RFC 5280 §4.2.1.3: a key usage, if given, must have digitalSignature."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.digital_signature


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def _speaks_cmp(certificate: x509.Certificate) -> bool:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return not _CMP_SIGNERS.isdisjoint(usages)


def _has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return _is_authority(issuer)

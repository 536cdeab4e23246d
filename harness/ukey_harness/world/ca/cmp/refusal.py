"""How the authority says no in CMP: one error, with the bit of PKIFailureInfo it comes out as."""

from __future__ import annotations

from cryptography import x509

from ukey_client.renewal.cmp.message import StatusInfo, rejected
from ukey_harness.world.ca.errors import (
    AuthorityError,
    CertificateRevokedError,
    PublicKeyError,
    RenewalTooEarlyError,
    RenewalTooLateError,
    RequestError,
    UnknownCertificateError,
)

_FAILURES: dict[type[AuthorityError], tuple[str, str]] = {
    CertificateRevokedError: ("certRevoked", "证书已被吊销，不能延期，请到柜台重新办理。"),
    PublicKeyError: ("badCertTemplate", "不支持这种密钥。"),
    RenewalTooEarlyError: ("badRequest", "证书离到期（{expiry}）还早，尚未到可以办理延期的时间。"),
    RenewalTooLateError: (
        "badRequest",
        "证书已于 {expiry} 过期，不能再在线延期，请到柜台重新办理。",
    ),
    RequestError: ("badPOP", "申请的签名无效。"),
    UnknownCertificateError: ("signerNotTrusted", "这张证书不是本机构签发的。"),
}


class CmpRefusalError(Exception):
    """A message is refused: `failure` is the bit of PKIFailureInfo (RFC 9810 §5.2.3)."""

    def __init__(self, failure: str, *text: str) -> None:
        super().__init__(*text)
        self.failure = failure
        self.text = text

    @property
    def status(self) -> StatusInfo:
        """The refusal as PKIStatusInfo."""
        return rejected(self.failure, *self.text)


def refusal_of(error: AuthorityError, certificate: x509.Certificate) -> CmpRefusalError:
    """Say in CMP what the authority has refused to do with a holder's certificate.

    First in Chinese, to the holder, then in English.
    """
    failure, sentence = _FAILURES.get(type(error), ("badRequest", "本机构不能办理这个请求。"))
    expiry = f"{certificate.not_valid_after_utc.astimezone():%Y-%m-%d}"
    return CmpRefusalError(failure, sentence.format(expiry=expiry), str(error))

# ruff: noqa: N818 - an error is named by its fault, as in the messages and the interface
"""Faults of certificates."""

from datetime import datetime

from ukey_client.errors.base import ExitCode, HolderError


class CertificateError(HolderError):
    """The certificate cannot be used."""

    exit_code = ExitCode.CERTIFICATE


class CertificateAbsent(CertificateError):
    """No certificate of a holder on the key, or none that was asked for."""

    def __init__(self, wanted: str | None = None) -> None:
        if wanted is None:
            message = "证书介质中没有可用的证书。请到柜台或网上办理证书。"
        else:
            message = f"证书介质中没有与 {wanted} 相符的证书。请用 ukey certs 查看有哪些证书。"
        super().__init__(message)
        self.wanted = wanted


class CertificateAmbiguous(CertificateError):
    """Several certificates fit and nobody can be asked which one is meant."""

    def __init__(self, present: tuple[str, ...]) -> None:
        super().__init__(
            f"证书介质中有多张证书：{'、'.join(present)}。"
            "请用 --token 'pkcs11:id=%..' 或 'pkcs11:object=名称' 指明其中一张。"
        )
        self.present = present


class CertificateDamaged(CertificateError):
    """What lies on the key is not a certificate that can be read."""

    def __init__(self, label: str) -> None:
        super().__init__(f"证书介质中的证书“{label}”已损坏，无法读取。请到柜台重新办理。")
        self.label = label


class KeyAbsent(CertificateError):
    """The certificate is there, its private key is not."""

    def __init__(self, owner: str) -> None:
        super().__init__(f"证书介质中没有“{owner}”证书对应的私钥。请到柜台重新办理。")
        self.owner = owner


class KeyUnsuitable(CertificateError):
    """The key pair is of a kind with which this client, or this token, cannot sign."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"不支持用这种密钥签名：{kind}。请联系服务热线。")
        self.kind = kind


class CertificateExpired(CertificateError):
    """The certificate is past its end."""

    def __init__(self, owner: str, not_after: datetime) -> None:
        super().__init__(
            f"“{owner}”的证书已于 {_day(not_after)} 过期。请办理证书延期（ukey renew）。"
        )
        self.owner = owner
        self.not_after = not_after


class CertificateNotYetValid(CertificateError):
    """The certificate has not begun."""

    def __init__(self, owner: str, not_before: datetime) -> None:
        super().__init__(
            f"“{owner}”的证书自 {_day(not_before)} 起才有效。请检查本机时间，或到时再试。"
        )
        self.owner = owner
        self.not_before = not_before


class CertificateRevoked(CertificateError):
    """The CA has taken the certificate back."""

    def __init__(self, owner: str, since: datetime | None = None) -> None:
        when = f"于 {_day(since)} " if since else ""
        super().__init__(f"“{owner}”的证书已{when}被吊销，不能再使用。请到柜台重新办理。")
        self.owner = owner
        self.since = since


class CertificateUntrusted(CertificateError):
    """No path from the certificate to its CA can be built."""

    def __init__(self, owner: str, reason: str) -> None:
        super().__init__(f"“{owner}”的证书链不完整或无效（{reason}）。请联系服务热线。")
        self.owner = owner
        self.reason = reason


def _day(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d")

# ruff: noqa: N818 - an error is named by its fault, as in the messages and the interface
"""What can go wrong for the certificate holder: one class for each fault, with its facts.

Every error carries a message in Chinese that names the fault and the way out, and the exit
code with which a command ends. Nothing else than a HolderError leaves this package on purpose.
"""

import re
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import ClassVar


class ExitCode(IntEnum):
    """With what a command of the client ends (1 and 2 are the usual ones of a program)."""

    OK = 0
    INTERNAL = 1  # a fault of this program
    USAGE = 2  # the command line, or a token URI, is wrong
    TOKEN = 3  # the module or the key cannot be used
    CERTIFICATE = 4  # absent, ambiguous, expired, revoked
    PIN = 5  # wrong, locked, unacceptable
    PORTAL = 6  # the portal refused, or said what it must not say
    UNREACHABLE = 7  # portal, CA, TSA or status service do not answer
    DOCUMENT = 8  # the document cannot be sealed
    FILE = 9  # a file cannot be read or written
    DECLINED = 10  # the holder said no
    RENEWAL = 11  # the CA did not renew


class HolderError(Exception):
    """A fault that the holder can do something about."""

    exit_code: ClassVar[int] = ExitCode.INTERNAL

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


# --- the module and the key -----------------------------------------------------------------


class TokenError(HolderError):
    """The module or the key cannot be used."""

    exit_code = ExitCode.TOKEN


class ModuleUnusable(TokenError):
    """The PKCS#11 module does not load: wrong path, or not a PKCS#11 module."""

    def __init__(self, module: str, reason: str) -> None:
        super().__init__(f"无法加载证书介质驱动 {module}：{reason}。请检查 --module 的路径。")
        self.module = module
        self.reason = reason


class TokenAbsent(TokenError):
    """No key is plugged in, or none that matches what was asked for."""

    def __init__(self, wanted: str | None = None, present: tuple[str, ...] = ()) -> None:
        if wanted is None:
            message = "没有检测到证书介质（USB Key）。请插入后重试。"
        elif present:
            message = (
                f"没有找到与 {wanted} 相符的证书介质；当前插入的有：{'、'.join(present)}。"
                "请检查 --token，或插入正确的介质。"
            )
        else:
            message = f"没有检测到证书介质（要找的是 {wanted}）。请插入后重试。"
        super().__init__(message)
        self.wanted = wanted
        self.present = present


class TokenAmbiguous(TokenError):
    """Several keys are plugged in and it was not said which one is meant."""

    def __init__(self, present: tuple[str, ...], uris: tuple[str, ...] = ()) -> None:
        super().__init__(
            f"检测到多个证书介质：{'、'.join(present)}。请用 --token 指明其中一个"
            "（例如 --token 'pkcs11:serial=序列号'），或拔出其余介质。"
        )
        self.present = present
        self.uris = uris


class TokenNotInitialised(TokenError):
    """The key is empty: it was never initialised."""

    def __init__(self) -> None:
        super().__init__("证书介质尚未初始化，里面没有证书。请到柜台办理。")


class TokenRemoved(TokenError):
    """The key vanished while it was in use."""

    def __init__(self) -> None:
        super().__init__("证书介质已被拔出或失去连接。请重新插入后重试，未完成的操作不会生效。")


class TokenFailed(TokenError):
    """The key refused or broke for another reason; `fault` is the PKCS#11 name of it."""

    def __init__(self, action: str, fault: str) -> None:
        super().__init__(
            f"证书介质{action}失败（{fault}）。请重新插入介质后重试；如仍失败，请联系服务热线。"
        )
        self.action = action
        self.fault = fault


class TokenFull(TokenError):
    """No room is left on the key."""

    def __init__(self) -> None:
        super().__init__("证书介质的存储空间已满。请到柜台清理后重试。")


class TokenUriInvalid(HolderError):
    """What stands in --token is not a PKCS#11 URI (RFC 7512)."""

    exit_code = ExitCode.USAGE

    def __init__(self, uri: str, reason: str) -> None:
        uri = re.sub("pin-value=[^&]*", "pin-value=***", uri)  # a PIN is never shown
        super().__init__(f"无效的 PKCS#11 URI“{uri}”：{reason}。正确的例子：pkcs11:token=名称")
        self.uri = uri
        self.reason = reason


# --- the PIN --------------------------------------------------------------------------------


class PinError(HolderError):
    """The PIN was not taken."""

    exit_code = ExitCode.PIN


class PinIncorrect(PinError):
    """A wrong PIN, with what is known of the tries left.

    `tries_left` is None where the key does not tell the number; then `low` and `final_try`
    are all that is known (PKCS#11 v3.2 §3.4, CKF_USER_PIN_COUNT_LOW and _FINAL_TRY).
    """

    def __init__(
        self, tries_left: int | None = None, *, low: bool = False, final_try: bool = False
    ) -> None:
        if final_try or tries_left == 1:
            left = "仅剩最后一次机会，再输错证书介质将被锁定！"
        elif tries_left is not None:
            left = f"剩余 {tries_left} 次机会。"
        elif low:
            left = "剩余次数已经减少，连续输错将锁定证书介质。"
        else:
            left = "连续输错将锁定证书介质。"
        super().__init__(f"证书口令错误，{left}")
        self.tries_left = tries_left
        self.low = low
        self.final_try = final_try


class PinLocked(PinError):
    """The PIN is locked; `just_now` if this very try locked it."""

    def __init__(self, *, just_now: bool = False) -> None:
        start = "证书口令错误，证书介质已锁定。" if just_now else "证书介质已锁定（口令连续输错）。"
        super().__init__(f"{start}请携带介质和有效证件到柜台解锁。")
        self.just_now = just_now


class PinNotSet(PinError):
    """The key has no user PIN yet, or it has run out and must be set anew."""

    def __init__(self) -> None:
        super().__init__("证书介质尚未设置证书口令或口令已失效。请到柜台办理。")


class PinUnacceptable(PinError):
    """The new PIN does not keep the rules of the key."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"新口令不符合要求：{reason}。原口令未改变。")
        self.reason = reason


class PinUnavailable(PinError):
    """Nobody can be asked for the PIN: no terminal, no UKEY_PIN, no file."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"无法取得证书口令：{reason}")
        self.reason = reason


# --- certificates ---------------------------------------------------------------------------


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


# --- the portal and the services of the CA --------------------------------------------------


class PortalError(HolderError):
    """The portal refused, or said what it must not say."""

    exit_code = ExitCode.PORTAL


class PortalRefused(PortalError):
    """The portal said no: `code` is its word for it, `reason` its sentence for the holder."""

    def __init__(
        self, code: str, reason: str, *, status: int = 0, tries_left: int | None = None
    ) -> None:
        left = f"（剩余 {tries_left} 次）" if tries_left is not None else ""
        super().__init__(f"网报系统拒绝了请求：{reason}{left}[{code}]")
        self.code = code
        self.reason = reason
        self.status = status
        self.tries_left = tries_left


class PortalOdd(PortalError):
    """The answer is not what a portal of this kind answers."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url} 的应答不正确：{reason}。请检查 --portal 的地址。")
        self.url = url
        self.reason = reason


class ChallengeRefused(PortalError):
    """The text that the portal wants signed must not be signed."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"为保护您的证书，已拒绝签名：{reason}。")
        self.reason = reason


class NotLoggedIn(PortalError):
    """The portal knows no session of ours."""

    def __init__(self) -> None:
        super().__init__("尚未登录网报系统或登录已超时。请先登录（ukey login）。")


class InsecureAddress(HolderError):
    """Plain http to another machine: what is secret would be read on the way."""

    exit_code = ExitCode.USAGE

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"不能使用地址 {url}：{reason}。")
        self.url = url
        self.reason = reason


class Unreachable(HolderError):
    """A service did not answer in time; `service` is its Chinese name."""

    exit_code = ExitCode.UNREACHABLE

    def __init__(self, service: str, url: str, reason: str = "") -> None:
        why = f"：{reason}" if reason else ""
        super().__init__(f"无法连接{service}（{url}）{why}。请检查网络和地址后重试。")
        self.service = service
        self.url = url
        self.reason = reason


class TimestampRefused(HolderError):
    """The time-stamping authority answered, and not with a good time-stamp (RFC 3161)."""

    exit_code = ExitCode.UNREACHABLE

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"时间戳服务（{url}）没有给出有效的时间戳：{reason}。请稍后重试。")
        self.url = url
        self.reason = reason


class RenewalFailed(HolderError):
    """The CA did not renew; what is on the key still works."""

    exit_code = ExitCode.RENEWAL


class OrderIncomplete(HolderError):
    """The command line does not say all that is needed."""

    exit_code = ExitCode.USAGE

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}。")
        self.reason = reason


# --- documents and files --------------------------------------------------------------------


class DocumentError(HolderError):
    """The document cannot be sealed."""

    exit_code = ExitCode.DOCUMENT


class NotAPdf(DocumentError):
    """Not a PDF, or one that is too broken to be read."""

    def __init__(self, reason: str = "") -> None:
        why = f"（{reason}）" if reason else ""
        super().__init__(f"这个文件不是有效的 PDF{why}。请换用由网报系统生成的 PDF 文件。")
        self.reason = reason


class EncryptedPdf(DocumentError):
    """The PDF is encrypted."""

    def __init__(self) -> None:
        super().__init__("这个 PDF 设有密码保护，不能签章。请换用未加密的文件。")


class AlreadySealed(DocumentError):
    """The PDF bears a signature already."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        super().__init__(f"这个 PDF 已有电子签章（{'、'.join(fields)}），不能重复签章。")
        self.fields = fields


class SealPictureAbsent(DocumentError):
    """The key holds no seal picture, or one that is no picture."""

    def __init__(self, *, damaged: bool = False) -> None:
        fault = "的印章图片已损坏" if damaged else "中没有电子印章"
        super().__init__(f"证书介质{fault}。请到柜台办理电子签章。")
        self.damaged = damaged


class PlaceAbsent(DocumentError):
    """There is no such page, or the seal would stand outside of it."""


class DocumentChanged(DocumentError):
    """The document is not the one that the portal said it is."""

    def __init__(self) -> None:
        super().__init__("下载的名册与网报系统登记的摘要不一致，已停止签章。请重新下载。")


class SealUnsound(DocumentError):
    """What was just sealed does not verify: nothing was written."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"签章后的自检没有通过（{reason}），没有写出文件。请联系服务热线。")
        self.reason = reason


class FileError(HolderError):
    """A file cannot be read or written."""

    exit_code = ExitCode.FILE


class FileUnreadable(FileError):
    """The input cannot be read."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"无法读取文件 {path}：{reason}。")
        self.path = path
        self.reason = reason


class FileUnwritable(FileError):
    """The output cannot be written; nothing of it was left behind."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"无法写入文件 {path}：{reason}。没有留下残缺文件。")
        self.path = path
        self.reason = reason


class DiskFull(FileUnwritable):
    """No space is left for the output."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path, "磁盘空间不足")


class Declined(HolderError):
    """The holder said no, or could not be asked."""

    exit_code = ExitCode.DECLINED

    def __init__(self, message: str = "已取消，没有进行签名。") -> None:
        super().__init__(message)


def _day(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d")

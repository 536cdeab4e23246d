# ruff: noqa: N818 - an error is named by its fault, as in the messages and the interface
"""Faults of the portal and of the services of the CA."""

from ukey_client.errors.base import ExitCode, HolderError


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

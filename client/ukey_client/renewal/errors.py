"""What can go wrong in a renewal; in each case the key is as good as before."""

from collections.abc import Iterable
from typing import Final

from ukey_client.errors import RenewalFailed
from ukey_client.renewal.cmp.message import StatusInfo

_KEPT: Final = "介质中的原证书没有改变。"

# What each bit of PKIFailureInfo (RFC 9810 §5.2.3) means to the holder.
_REASONS: Final = {
    "badAlg": "不支持所用的签名算法",
    "badMessageCheck": "请求的签名没有通过验证",
    "badRequest": "不受理这个请求",
    "badTime": "本机时间与认证机构的时间相差过大，请校准本机时间后重试",
    "badCertId": "找不到要延期的证书",
    "badDataFormat": "请求的格式不正确",
    "wrongAuthority": "这不是签发原证书的认证机构",
    "badPOP": "没有通过新密钥的持有证明",
    "certRevoked": "证书已被吊销，请到柜台重新办理",
    "badCertTemplate": "申请的内容不符合要求",
    "signerNotTrusted": "不承认用来签名的证书",
    "notAuthorized": "无权办理",
    "transactionIdInUse": "交易编号重复，请重试",
    "systemUnavail": "系统暂时不可用，请稍后重试",
    "systemFailure": "系统出现故障，请稍后重试",
    "duplicateCertReq": "相同的证书已经存在",
}


class RenewalRefused(RenewalFailed):
    """The CA said no: `status` is what it said (RFC 9810 §5.2.3)."""

    def __init__(self, status: StatusInfo, details: Iterable[str] = ()) -> None:
        bits = sorted(status.fail_info)
        said = [*status.text, *details]
        # What the CA has to say in Chinese says more than the meaning of the bit.
        chosen = [line for line in said if _is_chinese(line)] or [
            _REASONS[bit] for bit in bits if bit in _REASONS
        ]
        reason = "；".join(line.rstrip("。；") for line in chosen) or "没有说明原因"
        spoken = [line for line in said if not _is_chinese(line)]
        facts = "：".join(["、".join(bits) or status.status.name.lower(), *spoken[:1]])
        super().__init__(f"认证机构（CA）拒绝了证书延期：{reason}。（{facts}）{_KEPT}")
        self.status = status

    @property
    def fail_info(self) -> frozenset[str]:
        """Names of the bits of PKIFailureInfo."""
        return self.status.fail_info


class RenewalPending(RenewalFailed):
    """The CA has not decided within the time that was to be waited; `seconds` it asks for."""

    def __init__(self, seconds: int, reason: Iterable[str] = ()) -> None:
        why = "".join(f"（{line}）" for line in reason)
        super().__init__(
            f"认证机构（CA）还在处理延期申请{why}，约 {seconds} 秒后会有结果。请稍后重试。{_KEPT}"
        )
        self.seconds = seconds


class ResponseUntrusted(RenewalFailed):
    """An answer does not come from the CA, or not to our question."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"不能信任认证机构（CA）的应答：{reason}。已停止延期。{_KEPT}")
        self.reason = reason


class AnswerOdd(RenewalFailed):
    """What answers at the address is no CMP server, or one that does not keep the standard."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url} 的应答不正确：{reason}。请检查 --ca 的地址。{_KEPT}")
        self.url = url
        self.reason = reason


class CertificateUnacceptable(RenewalFailed):
    """The new certificate is not what a renewal must give; it was turned down."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"认证机构（CA）给出的新证书不能接受：{reason}。已拒收。{_KEPT}")
        self.reason = reason


class RenewalUnconfirmed(RenewalFailed):
    """The new certificate lies on the key; whether the CA got its confirmation is not known."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "新证书已写入证书介质，但还没有得到认证机构（CA）的确认"
            f"（{reason}）。原证书仍在介质中，仍可使用。请再次办理延期（ukey renew）以完成。"
        )
        self.reason = reason


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= sign <= "\u9fff" for sign in text)

# ruff: noqa: N818 - an error is named by its fault, as in the messages and the interface
"""Faults of the module and the key."""

import re

from ukey_client.errors.base import ExitCode, HolderError


class TokenError(HolderError):
    """The module or the key cannot be used."""

    exit_code = ExitCode.TOKEN


class GenerationUnsupported(TokenError):
    """The key, or the way to it, cannot make key pairs; `missing` is the mechanism for it."""

    def __init__(self, missing: str) -> None:
        super().__init__(
            f"这个驱动不能在证书介质中生成密钥（没有 {missing}），无法网上延期。原证书没有改变。"
            "PIV 卡请改用 --reader 直接访问；其他介质请改用厂商的驱动，或携带介质到柜台办理。"
        )
        self.missing = missing


class ModuleUnusable(TokenError):
    """The PKCS#11 module does not load: wrong path, or not a PKCS#11 module."""

    def __init__(self, module: str, reason: str) -> None:
        super().__init__(f"无法加载证书介质驱动 {module}：{reason}。请检查 --module 的路径。")
        self.module = module
        self.reason = reason


class ReadersUnusable(TokenError):
    """Readers cannot be used on this machine; `reason` says what is missing, and the way out."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"无法使用读卡器：{reason}，或改用 --module。")
        self.reason = reason


class ReaderAbsent(TokenError):
    """No reader bears the name, or a part of it, that was given."""

    def __init__(self, wanted: str, present: tuple[str, ...]) -> None:
        there = f"现有的读卡器：{'、'.join(present)}" if present else "现在没有任何读卡器"
        super().__init__(
            f"没有检测到证书介质：没有名称含“{wanted}”的读卡器（{there}）。"
            "请插入介质后重试，或检查 --reader。"
        )
        self.wanted = wanted
        self.present = present


class CardForeign(TokenError):
    """What is in the reader is no PIV card."""

    def __init__(self, readers: tuple[str, ...]) -> None:
        super().__init__(
            f"读卡器 {'、'.join(readers)} 中的卡没有 PIV 应用，不能用 --reader 访问。"
            "请改用厂商的驱动（--module）。"
        )
        self.readers = readers


class ManagementKeyUnknown(TokenError):
    """The card wants its management key for writing, and nobody here knows it."""

    def __init__(self) -> None:
        super().__init__(
            "这张卡的管理密钥（9B）不是出厂值，也没有存放在口令之后，无法在卡上生成密钥和写入证书。"
            "请先用 ykman piv access change-management-key --protect 把它存放在口令之后，"
            "或携带介质到柜台办理。"
        )


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

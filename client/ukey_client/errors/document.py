# ruff: noqa: N818 - an error is named by its fault, as in the messages and the interface
"""Faults of documents and files."""

from pathlib import Path

from ukey_client.errors.base import ExitCode, HolderError


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


class SealHidden(DocumentError):
    """The key shows the seal, if it has one, only after the PIN was given."""

    def __init__(self) -> None:
        super().__init__("证书介质中的电子印章要在输入证书口令之后才能读取。")


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

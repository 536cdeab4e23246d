"""Every refusal of the portal: its code, HTTP status, and the sentence for the user.

The codes are part of the HTTP interface and never change. A refusal is raised where the fault
is found, and becomes JSON or a page only at the face (`answers.py`).
"""

from __future__ import annotations

from typing import Final

Facts = dict[str, object]


class PortalRefusal(Exception):  # noqa: N818 - a refusal is an answer of the protocol
    """A request that the portal does not grant.

    code: the name in the interface; status: HTTP status; message: Chinese, names the fault and
    the way out; facts: further members of the JSON answer (for example `tries_left`).
    """

    def __init__(self, code: str, message: str | None = None, **facts: object) -> None:
        status, standard = _REFUSALS[code]
        self.code = code
        self.status = status
        self.message = message or standard
        self.facts: Facts = facts
        super().__init__(code)


_AGAIN = "请重新获取登录文本后再试。"

_REFUSALS: Final[dict[str, tuple[int, str]]] = {
    # The door
    "bad_request": (400, "请求的格式不正确。"),
    "host_refused": (421, "请求的主机名不是本系统的地址，已拒绝。请使用本系统的正式网址访问。"),
    "origin_refused": (403, "请求来自其他网站，已拒绝。请从本系统的页面操作。"),
    "csrf_refused": (403, "页面已失效或请求不是从本系统页面发出的。请刷新页面后再试。"),
    "not_logged_in": (401, "尚未登录，或登录已超时。请重新登录。"),
    "bind_required": (403, "证书尚未绑定账户。请先完成 CA用户绑定。"),
    "not_found": (404, "找不到所请求的内容。"),
    "method_not_allowed": (405, "不支持这种请求方式。"),
    "request_timeout": (408, "数据传送超时。请检查网络后再试。"),
    "too_large": (413, "提交的内容过大，已拒绝。"),
    "unsupported_media_type": (415, "提交内容的类型不受支持。"),
    "storage_unavailable": (503, "系统存储暂时不可用，操作未保存。请稍后再试。"),
    "internal": (500, "系统内部错误，操作未完成。请稍后再试。"),
    # Login: challenge, signature and certificate.
    "challenge_unknown": (403, f"登录文本不存在。{_AGAIN}"),
    "challenge_used": (403, f"登录文本已使用过，不能重复使用。{_AGAIN}"),
    "challenge_expired": (403, f"登录文本已过期。{_AGAIN}"),
    "origin_mismatch": (403, "登录文本属于另一个网址，已拒绝。请核对所访问的网址。"),
    "signature_invalid": (403, "签名无效：与登录文本或证书不符。请使用证书重新签名。"),
    "chain_invalid": (403, "证书不是由本系统信任的机构签发的，已拒绝。"),
    "certificate_expired": (403, "证书已过期。请先办理证书延期。"),
    "certificate_not_yet_valid": (403, "证书尚未生效。请核对证书的有效期。"),
    "certificate_revoked": (403, "证书已被吊销，不能再使用。请联系证书颁发机构。"),
    "usage_invalid": (403, "证书的用途不符，不能用于此操作。请使用单位证书。"),
    "identifier_missing": (403, "证书中没有单位标识，无法识别单位。请联系证书颁发机构。"),
    "status_unavailable": (503, "暂时无法查询证书状态（证书颁发机构没有应答）。请稍后再试。"),
    "ticket_invalid": (403, "登录链接无效、已使用过或已过期。请从客户端重新打开。"),
    # Binding
    "bad_credentials": (403, "用户名或口令不正确。"),
    "account_locked": (403, "口令连续错误次数过多，账户已暂时锁定。请稍后再试。"),
    "account_of_another_unit": (
        409,
        "该用户属于其他单位，或已绑定其他单位的证书。请核对用户名与证书。",
    ),
    "not_in_bind_state": (403, "当前登录不需要绑定。"),
    # Enrolment
    "fields_invalid": (422, "填写的内容有误，请按提示改正。"),
    "nothing_submitted": (422, "本月没有已提交的参保人员，无法生成名册。请先录入并提交。"),
    "nothing_entered": (422, "没有待提交的参保人员。请先录入。"),
    "person_not_editable": (409, "该人员已提交，不能再修改。"),
    # Taking back what was sealed
    "not_a_pdf": (422, "上传的文件不是有效的 PDF 文件。请上传加盖电子签章后的名册。"),
    "not_sealed": (422, "文件上没有电子签章。请先签章再上传。"),
    "seal_invalid": (422, "电子签章无效：签章验证未通过，文件可能被改动过。请重新签章。"),
    "timestamp_missing": (
        422,
        "电子签章没有时间戳，无法确认签章的时间。请连接时间戳服务后重新签章。",
    ),
    "signer_mismatch": (422, "签章所用的证书属于其他单位。请使用本单位的证书签章。"),
    "document_mismatch": (
        422,
        "签章下的文件不是本系统生成的这份名册。请下载本名册，签章后再上传。",
    ),
    "already_sealed": (409, "这份名册已经签章上报，不能重复上传。"),
    "sealed_absent": (404, "这份名册尚未签章，没有可预览的内容。"),
}

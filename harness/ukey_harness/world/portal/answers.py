"""How refusals leave the portal: JSON below /api, a page elsewhere."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Scope

from .refusals import PortalRefusal
from .screens import environment
from .settings import PortalSettings

_TITLES: Final = {
    400: "请求不正确",
    401: "尚未登录",
    403: "操作被拒绝",
    404: "找不到页面",
    405: "不支持的操作",
    408: "传送超时",
    409: "操作不能重复进行",
    413: "文件过大",
    415: "文件类型不受支持",
    421: "网址不正确",
    422: "内容有误",
    500: "系统内部错误",
    503: "服务暂时不可用",
}
_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def refusal_answer(scope: Scope, refusal: PortalRefusal, settings: PortalSettings) -> Response:
    """Return the answer that tells of a refusal: `{"code", "message", ...}` or an error page."""
    if str(scope["path"]).startswith("/api/"):
        return JSONResponse(
            {"code": refusal.code, "message": refusal.message, **refusal.facts},
            status_code=refusal.status,
        )
    page = (
        environment()
        .get_template("error.html")
        .render(
            site=settings.site,
            session=None,
            notice=None,
            title=_TITLES.get(refusal.status, "操作未完成"),
            refusal=refusal,
        )
    )
    return HTMLResponse(page, status_code=refusal.status)


def refusal_of_status(status: int) -> PortalRefusal:
    """Return the refusal for an HTTP status that the framework raised."""
    if status in _CODES:
        return PortalRefusal(_CODES[status])
    return PortalRefusal("bad_request" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "internal")

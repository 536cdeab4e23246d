"""The door: where requests become typed commands, and are asked who they are."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from dataclasses import dataclass
from typing import Any, Final, cast

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from .parts import Portal
from .refusals import PortalRefusal
from .sessions import Opened, Session, SessionState

SESSION_COOKIE: Final = "ukeylab_session"
CSRF_FIELD: Final = "csrf"
API_HEADER: Final = "X-Requested-With"
API_HEADER_VALUE: Final = "ukeylab"

_COOKIE_LIMIT: Final = 128
_FIELDS: Final = 64


class GoTo(Exception):  # noqa: N818 - no error, but the way to another page
    """A page can only be had after another one: the browser is sent there."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True)
class Upload:
    """A form with a file in it."""

    fields: dict[str, str]
    content: bytes


def portal_of(request: Request) -> Portal:
    """Return the portal that the request came to."""
    return cast("Portal", request.app.state.portal)


async def current_session(request: Request) -> Session | None:
    """Return the session of the request's cookie, None if it has none that lives."""
    session_id = request.cookies.get(SESSION_COOKIE, "")
    if not 0 < len(session_id) <= _COOKIE_LIMIT:
        return None
    return await run_in_threadpool(portal_of(request).sessions.find, session_id)


async def api_session(request: Request) -> Session:
    """Return the logged-in session; raises not_logged_in, bind_required."""
    session = await current_session(request)
    if session is None or session.state is SessionState.NONE:
        raise PortalRefusal("not_logged_in")
    if session.state is SessionState.BIND:
        raise PortalRefusal("bind_required")
    return session


async def page_session(request: Request) -> Session:
    """Return the logged-in session; sends the browser to the login or the binding page."""
    session = await current_session(request)
    if session is None or session.state is SessionState.NONE:
        raise GoTo("/login?notice=login_needed")
    if session.state is SessionState.BIND:
        raise GoTo("/bind")
    return session


def give_cookie(request: Request, response: Response, opened: Opened) -> None:
    """Put a new session's id into the answer."""
    # No Max-Age: the browser's clock is not the world's; the portal ends sessions itself.
    response.set_cookie(
        SESSION_COOKIE,
        opened.id,
        path="/",
        secure=portal_of(request).settings.secure,
        httponly=True,
        samesite="strict",
    )


def take_cookie(request: Request, response: Response) -> None:
    """Have the browser forget the session's id."""
    response.delete_cookie(
        SESSION_COOKIE,
        path="/",
        secure=portal_of(request).settings.secure,
        httponly=True,
        samesite="strict",
    )


def require_api_header(request: Request) -> None:
    """Refuse a POST to the JSON interface without our header: no foreign page can send it."""
    if request.headers.get(API_HEADER) != API_HEADER_VALUE:
        raise PortalRefusal(
            "csrf_refused", f"请求缺少 {API_HEADER}: {API_HEADER_VALUE} 标头，已拒绝。"
        )


async def json_body(request: Request) -> dict[str, Any]:
    """Return the members of a JSON object sent to the JSON interface.

    Raises csrf_refused, unsupported_media_type, bad_request.
    """
    require_api_header(request)
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise PortalRefusal("unsupported_media_type", "提交内容须为 application/json。")
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise PortalRefusal("bad_request", "提交内容不是有效的 JSON。") from error
    if not isinstance(body, dict):
        raise PortalRefusal("bad_request", "提交内容须为 JSON 对象。")
    return body


def text_of(body: dict[str, Any], name: str) -> str:
    """Return a member that must be a string; raises bad_request."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise PortalRefusal("bad_request", f"提交内容缺少 {name}，或其类型不正确。")
    return value


def base64_of(body: dict[str, Any], name: str) -> bytes:
    """Return a member that must be Base64 (RFC 4648 §4), decoded; raises bad_request."""
    try:
        return base64.b64decode(text_of(body, name), validate=True)
    except (binascii.Error, ValueError) as error:
        raise PortalRefusal("bad_request", f"{name} 不是有效的 Base64 数据。") from error


async def form_of(request: Request, session: Session | None) -> dict[str, str]:
    """Return the fields of a form sent from a page of this session; raises csrf_refused."""
    async with request.form(max_files=0, max_fields=_FIELDS) as form:
        _require_page_token(form, session)
        return {name: value for name, value in form.items() if isinstance(value, str)}


async def upload_of(request: Request, session: Session | None, file_field: str) -> Upload:
    """Return the fields and the file of a form sent from a page of this session.

    Raises csrf_refused, bad_request where no file was chosen.
    """
    async with request.form(max_files=1, max_fields=_FIELDS) as form:
        _require_page_token(form, session)
        file = form.get(file_field)
        content = await file.read() if isinstance(file, UploadFile) else b""
        if not content:
            raise PortalRefusal("bad_request", "请先选择文件，文件不能为空。")
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        return Upload(fields, content)


def _require_page_token(form: FormData, session: Session | None) -> None:
    token = form.get(CSRF_FIELD)
    if session is None or not isinstance(token, str):
        raise PortalRefusal("csrf_refused")
    if not hmac.compare_digest(token.encode(), session.csrf.encode()):
        raise PortalRefusal("csrf_refused")

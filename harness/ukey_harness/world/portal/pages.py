"""The public pages: home, login, the browser hand-over, binding, logout."""

from __future__ import annotations

from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from .door import (
    GoTo,
    current_session,
    form_of,
    give_cookie,
    portal_of,
    take_cookie,
    upload_of,
)
from .refusals import PortalRefusal
from .screens import environment
from .sessions import Opened, Session, SessionState
from .settings import CHINA

NOTICES: Final = {
    "login_needed": "请先登录。登录超过时限也需要重新登录。",
    "logged_out": "已安全退出。",
    "bound": "绑定成功。今后使用证书即可登录，无需再输入用户名和口令。",
    "entered": "已保存。",
    "removed": "已删除。",
    "submitted": "提交成功。请到“打印报表”生成名册并上报。",
    "produced": "名册已生成，可以签章上传。",
    "withdrawn": "名册已撤回，人员已退回“本月业务提交”。",
    "sealed": "上传成功，电子签章已验证通过。",
}
"""What a page says after an action; the address carries the word, never the sentence."""


def page(
    request: Request, template: str, session: Session | None, status: int = 200, **words: object
) -> HTMLResponse:
    """Render a page."""
    settings = portal_of(request).settings
    notice = request.query_params.get("notice", "")
    text = (
        environment()
        .get_template(template)
        .render(
            site=settings.site,
            session=session if session and session.state is not SessionState.NONE else None,
            csrf=session.csrf if session else "",
            notice=NOTICES.get(notice),
            notice_good=notice != "login_needed",  # the others tell of something done
            **words,
        )
    )
    return HTMLResponse(text, status_code=status)


async def home(request: Request) -> Response:
    """GET /: the two entries."""
    return page(request, "home.html", await current_session(request))


async def flexible(request: Request) -> Response:
    """GET /flexible: the entry of the flexibly employed, which is not open."""
    return page(request, "flexible.html", await current_session(request))


async def login_page(request: Request) -> Response:
    """GET /login: how to log in, with a fresh text to sign for those who sign elsewhere."""
    return await _login_page(request, await current_session(request))


async def challenge_text(request: Request) -> Response:
    """GET /login/challenge/ID.txt: the exact bytes to sign."""
    challenge_id = request.path_params["id"]
    text = await run_in_threadpool(portal_of(request).challenges.text_of, challenge_id)
    return PlainTextResponse(
        text, headers={"Content-Disposition": 'attachment; filename="ukeylab-login.txt"'}
    )


async def login_with_file(request: Request) -> Response:
    """POST /login: the text signed elsewhere (.p7s)."""
    session = await current_session(request)
    try:
        upload = await upload_of(request, session, "signature")
        opened = await run_in_threadpool(
            portal_of(request).login.accept,
            upload.fields.get("id", ""),
            upload.content,
            instead_of=session,
        )
    except PortalRefusal as refusal:
        if refusal.code in {"csrf_refused", "too_large"}:
            raise
        return await _login_page(request, session, refusal)
    return _landing(request, opened)


async def continue_login(request: Request) -> Response:
    """GET /login/continue: the browser takes over a client's login, by its one-time ticket."""
    ticket = request.query_params.get("ticket", "")
    opened = await run_in_threadpool(portal_of(request).sessions.redeem, ticket)
    # A page and no redirect: the browser would not send a SameSite=Strict cookie along a
    # redirect of a visit that began on another site.
    return _landing(request, opened)


async def bind_page(request: Request) -> Response:
    """GET /bind: CA用户绑定."""
    return page(request, "bind.html", await _bind_session(request), refusal=None, user="")


async def bind(request: Request) -> Response:
    """POST /bind: user and password of the old account."""
    session = await _bind_session(request)
    form = await form_of(request, session)
    user, password = form.get("user", "").strip(), form.get("password", "")
    try:
        opened = await run_in_threadpool(portal_of(request).bindings.bind, session, user, password)
    except PortalRefusal as refusal:
        return page(
            request, "bind.html", session, status=refusal.status, refusal=refusal, user=user
        )
    response = RedirectResponse("/business?notice=bound", status_code=303)
    give_cookie(request, response, opened)
    return response


async def logout(request: Request) -> Response:
    """POST /logout: the session ends."""
    session = await current_session(request)
    if session is None:
        raise GoTo("/")
    await form_of(request, session)
    await run_in_threadpool(portal_of(request).sessions.end, session)
    response = RedirectResponse("/?notice=logged_out", status_code=303)
    take_cookie(request, response)
    return response


def routes() -> list[Route]:
    """Return the routes of the public pages."""
    return [
        Route("/", home),
        Route("/flexible", flexible),
        Route("/login", login_page),
        Route("/login", login_with_file, methods=["POST"]),
        Route("/login/challenge/{id}.txt", challenge_text),
        Route("/login/continue", continue_login),
        Route("/bind", bind_page),
        Route("/bind", bind, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
    ]


async def _login_page(
    request: Request, session: Session | None, refusal: PortalRefusal | None = None
) -> Response:
    portal = portal_of(request)
    opened = None
    if session is None:
        # The form's page token needs a session to belong to.
        opened = await run_in_threadpool(portal.sessions.begin, SessionState.NONE)
        session = opened.session
    challenge = await run_in_threadpool(portal.challenges.make)
    response = page(
        request,
        "login.html",
        session,
        status=refusal.status if refusal else 200,
        origin=portal.settings.origin,
        challenge=challenge,
        expires=challenge.expires.astimezone(CHINA),
        refusal=refusal,
    )
    if opened is not None:
        give_cookie(request, response, opened)
    return response


def _landing(request: Request, opened: Opened) -> Response:
    bound = opened.session.state is SessionState.OK
    response = page(
        request, "landed.html", opened.session, path="/business" if bound else "/bind", bound=bound
    )
    give_cookie(request, response, opened)
    return response


async def _bind_session(request: Request) -> Session:
    session = await current_session(request)
    if session is None or session.state is SessionState.NONE:
        raise GoTo("/login?notice=login_needed")
    if session.state is SessionState.OK:
        raise GoTo("/business")
    return session

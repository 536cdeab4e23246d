"""The JSON interface: what client programs speak with the portal."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .challenge import iso_utc
from .door import (
    api_session,
    base64_of,
    current_session,
    give_cookie,
    json_body,
    portal_of,
    require_api_header,
    take_cookie,
    text_of,
)
from .enrolment.rosters import Roster
from .refusals import PortalRefusal
from .sessions import Opened, SessionState

PDF = "application/pdf"


async def challenge(request: Request) -> Response:
    """GET /api/login/challenge: a new text to sign."""
    made = await run_in_threadpool(portal_of(request).challenges.make)
    return JSONResponse({"id": made.id, "text": made.text, "expires": made.expires_text})


async def login(request: Request) -> Response:
    """POST /api/login: the signed text, for a session."""
    body = await json_body(request)
    opened = await run_in_threadpool(
        portal_of(request).login.accept,
        text_of(body, "id"),
        base64_of(body, "signature"),
        shown=text_of(body, "text") if "text" in body else None,
        instead_of=await current_session(request),
    )
    return _opened(request, opened)


async def bind(request: Request) -> Response:
    """POST /api/bind: user and password, once, for the unit of the certificate."""
    body = await json_body(request)
    user, password = text_of(body, "user"), text_of(body, "password")
    session = await current_session(request)
    if session is None:
        raise PortalRefusal("not_in_bind_state", "请先使用证书登录，再绑定账户。")
    opened = await run_in_threadpool(portal_of(request).bindings.bind, session, user, password)
    return _opened(request, opened)


async def session_state(request: Request) -> Response:
    """GET /api/session: how far this session has come."""
    session = await current_session(request)
    if session is None or session.state is SessionState.NONE:
        return JSONResponse({"state": SessionState.NONE})
    return JSONResponse({"state": session.state, "unit": session.unit_name})


async def logout(request: Request) -> Response:
    """POST /api/logout: the session ends; no error if there is none."""
    require_api_header(request)
    session = await current_session(request)
    if session is not None:
        await run_in_threadpool(portal_of(request).sessions.end, session)
    response = JSONResponse({"state": SessionState.NONE})
    take_cookie(request, response)
    return response


async def ticket(request: Request) -> Response:
    """POST /api/session/ticket: an address that takes this login over into a browser, once."""
    require_api_header(request)
    session = await current_session(request)
    if session is None or session.state is SessionState.NONE:
        raise PortalRefusal("not_logged_in")
    portal = portal_of(request)
    made = await run_in_threadpool(portal.sessions.ticket, session)
    return JSONResponse(
        {
            "url": f"{portal.settings.origin}/login/continue?ticket={made}",
            "seconds": int(portal.settings.limits.ticket.total_seconds()),
        }
    )


async def enter_person(request: Request) -> Response:
    """POST /api/enrolment/persons: one person's fields, by code."""
    body = await json_body(request)
    session = await api_session(request)
    told = {code: value for code, value in body.items() if isinstance(value, str)}
    person = await run_in_threadpool(portal_of(request).persons.enter, session.unit, told)
    return JSONResponse({"id": person}, status_code=201)


async def submit_persons(request: Request) -> Response:
    """POST /api/enrolment/submit: all persons entered so far."""
    require_api_header(request)
    session = await api_session(request)
    count = await run_in_threadpool(portal_of(request).persons.submit, session.unit)
    return JSONResponse({"submitted": count})


async def rosters(request: Request) -> Response:
    """GET /api/rosters: the unit's rosters, the newest first."""
    session = await api_session(request)
    listed = await run_in_threadpool(portal_of(request).rosters.listed, session.unit)
    return JSONResponse({"rosters": [_roster(roster) for roster in listed]})


async def produce_roster(request: Request) -> Response:
    """POST /api/rosters: the roster of the submitted persons."""
    require_api_header(request)
    session = await api_session(request)
    portal = portal_of(request)
    unit = await run_in_threadpool(portal.unit_of, session)
    roster = await run_in_threadpool(portal.rosters.produce, unit)
    return JSONResponse(_roster(roster), status_code=201)


async def roster_pdf(request: Request) -> Response:
    """GET /api/rosters/ID.pdf: the roster as produced, to be sealed."""
    session = await api_session(request)
    roster_id = request.path_params["id"]
    pdf = await run_in_threadpool(portal_of(request).rosters.pdf, session.unit, roster_id)
    return Response(pdf, media_type=PDF)


async def sealed_roster_pdf(request: Request) -> Response:
    """GET /api/rosters/ID/sealed.pdf: the sealed roster as it was taken back."""
    session = await api_session(request)
    roster_id = request.path_params["id"]
    pdf = await run_in_threadpool(portal_of(request).rosters.sealed_pdf, session.unit, roster_id)
    return Response(pdf, media_type=PDF)


async def take_sealed_roster(request: Request) -> Response:
    """POST /api/rosters/ID/sealed: the sealed roster, handed in."""
    require_api_header(request)
    session = await api_session(request)
    if request.headers.get("content-type", "").partition(";")[0].strip() != PDF:
        raise PortalRefusal("unsupported_media_type", f"提交内容须为 {PDF}。")
    sealed = await request.body()
    roster = await run_in_threadpool(
        portal_of(request).rosters.take_back, session.unit, request.path_params["id"], sealed
    )
    return JSONResponse({"state": roster.state})


def routes() -> list[Route]:
    """Return the routes of the JSON interface."""
    return [
        Route("/api/login/challenge", challenge),
        Route("/api/login", login, methods=["POST"]),
        Route("/api/bind", bind, methods=["POST"]),
        Route("/api/session", session_state),
        Route("/api/session/ticket", ticket, methods=["POST"]),
        Route("/api/logout", logout, methods=["POST"]),
        Route("/api/enrolment/persons", enter_person, methods=["POST"]),
        Route("/api/enrolment/submit", submit_persons, methods=["POST"]),
        Route("/api/rosters", rosters),
        Route("/api/rosters", produce_roster, methods=["POST"]),
        Route("/api/rosters/{id}.pdf", roster_pdf),
        Route("/api/rosters/{id}/sealed.pdf", sealed_roster_pdf),
        Route("/api/rosters/{id}/sealed", take_sealed_roster, methods=["POST"]),
    ]


def _opened(request: Request, opened: Opened) -> Response:
    session = opened.session
    response = JSONResponse({"state": session.state, "unit": session.unit_name})
    give_cookie(request, response, opened)
    return response


def _roster(roster: Roster) -> dict[str, Any]:
    return {
        "id": roster.id,
        "title": roster.title,
        "created": iso_utc(roster.created),
        "state": roster.state,
        "sha256": roster.sha256,
        "month": roster.month,
        "persons": roster.persons,
    }

"""The business pages: 人员参保登记 with 本月业务提交, 打印报表, 上报材料 and 预览."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from .door import form_of, page_session, portal_of, upload_of
from .enrolment.fields import Field
from .enrolment.persons import FieldsRefused, PersonState
from .enrolment.preview import draw_page, page_count
from .enrolment.rosters import RosterState
from .pages import page
from .refusals import PortalRefusal
from .sessions import Session
from .settings import CHINA

MODULES: Final = (
    ("人员参保登记", "/business/enrolment/month", "新增职工参加社会保险"),
    ("人员参保恢复", "", "已暂停人员恢复缴费"),
    ("人员参保暂停", "", "人员暂停或终止缴费"),
    ("人员在职转退休停保", "", "到龄退休人员停保"),
    ("人员滞后补收", "", "补缴以前月份的保险费"),
    ("年度工资申报", "", "每年一次申报缴费工资"),
    ("在职人员保费申报", "", "按月申报保险费"),
)
"""The modules of the real system by name; without a path: not open here yet."""

_LIST_FIELDS: Final = ("AAC003", "AAC002", "AAC004", "AAC030", "AAC040", "AAE005")
_MONTH: Final = "/business/enrolment/month"
_HAND_IN: Final = "/business/enrolment/handin"


async def business(request: Request) -> Response:
    """GET /business: the modules."""
    session = await page_session(request)
    unit = await run_in_threadpool(portal_of(request).unit_of, session)
    return page(request, "business.html", session, modules=MODULES, unit=unit)


async def enrolment(_: Request) -> Response:
    """GET /business/enrolment: its first page."""
    return RedirectResponse(_MONTH, status_code=303)


async def month(request: Request) -> Response:
    """GET /business/enrolment/month: 本月业务提交, and with ?check=1 the check of all."""
    session = await page_session(request)
    faulty = None
    if "check" in request.query_params:
        faulty = await run_in_threadpool(portal_of(request).persons.check, session.unit)
    return await _month_page(request, session, faulty=faulty)


async def new_person(request: Request) -> Response:
    """GET /business/enrolment/persons/new: the empty form."""
    session = await page_session(request)
    today = await run_in_threadpool(portal_of(request).persons.today)
    values = {"AAC005": "01", "AAC030": today.replace(day=1).isoformat()}
    return _person_page(request, session, None, values, {})


async def edit_person(request: Request) -> Response:
    """GET /business/enrolment/persons/ID: the form with what was entered."""
    session = await page_session(request)
    person_id = request.path_params["id"]
    person = await run_in_threadpool(portal_of(request).persons.find, session.unit, person_id)
    return _person_page(request, session, person_id, person.values, {})


async def enter_person(request: Request) -> Response:
    """POST /business/enrolment/persons and .../ID: keep a person, or show what is wrong."""
    session = await page_session(request)
    told = await form_of(request, session)
    person_id = request.path_params.get("id")
    try:
        await run_in_threadpool(portal_of(request).persons.enter, session.unit, told, person_id)
    except FieldsRefused as refusal:
        return _person_page(request, session, person_id, refusal.values, refusal.faults)
    return RedirectResponse(f"{_MONTH}?notice=entered", status_code=303)


async def remove_person(request: Request) -> Response:
    """POST /business/enrolment/persons/ID/remove: drop an entered person."""
    session = await page_session(request)
    await form_of(request, session)
    persons = portal_of(request).persons
    await run_in_threadpool(persons.remove, session.unit, request.path_params["id"])
    return RedirectResponse(f"{_MONTH}?notice=removed", status_code=303)


async def submit(request: Request) -> Response:
    """POST /business/enrolment/submit: submit all that were entered, or none."""
    session = await page_session(request)
    await form_of(request, session)
    persons = portal_of(request).persons
    try:
        await run_in_threadpool(persons.submit, session.unit)
    except PortalRefusal as refusal:
        faulty = await run_in_threadpool(persons.check, session.unit)
        return await _month_page(request, session, faulty=faulty, refusal=refusal)
    return RedirectResponse("/business/enrolment/reports?notice=submitted", status_code=303)


async def reports(request: Request) -> Response:
    """GET /business/enrolment/reports: 打印报表."""
    session = await page_session(request)
    portal = portal_of(request)
    submitted = await run_in_threadpool(portal.persons.listed, session.unit, PersonState.SUBMITTED)
    rosters = await run_in_threadpool(portal.rosters.listed, session.unit)
    return page(
        request,
        "enrolment/reports.html",
        session,
        tab="reports",
        fields=_list_fields(request),
        waiting=[person for person in submitted if person.roster is None],
        rosters=rosters,
        zone=CHINA,
    )


async def hand_in(request: Request) -> Response:
    """GET /business/enrolment/handin: 上报材料."""
    return await _hand_in_page(request, await page_session(request))


async def produce(request: Request) -> Response:
    """POST /business/enrolment/rosters: produce the roster."""
    session = await page_session(request)
    await form_of(request, session)
    portal = portal_of(request)
    unit = await run_in_threadpool(portal.unit_of, session)
    try:
        await run_in_threadpool(portal.rosters.produce, unit)
    except PortalRefusal as refusal:
        return await _hand_in_page(request, session, refusal=refusal)
    return RedirectResponse(f"{_HAND_IN}?notice=produced", status_code=303)


async def withdraw(request: Request) -> Response:
    """POST /business/enrolment/rosters/ID/withdraw: throw an unsealed roster away."""
    session = await page_session(request)
    await form_of(request, session)
    rosters = portal_of(request).rosters
    await run_in_threadpool(rosters.withdraw, session.unit, request.path_params["id"])
    return RedirectResponse(f"{_MONTH}?notice=withdrawn", status_code=303)


async def take_back(request: Request) -> Response:
    """POST /business/enrolment/rosters/ID/sealed: 上传."""
    session = await page_session(request)
    roster_id = request.path_params["id"]
    try:
        upload = await upload_of(request, session, "sealed")
        await run_in_threadpool(
            portal_of(request).rosters.take_back, session.unit, roster_id, upload.content
        )
    except PortalRefusal as refusal:
        if refusal.code in {"csrf_refused", "too_large", "not_found"}:
            raise
        return await _hand_in_page(request, session, refusal=refusal, refused=roster_id)
    return RedirectResponse(f"{_HAND_IN}?notice=sealed", status_code=303)


async def roster_pdf(request: Request) -> Response:
    """GET /business/enrolment/rosters/ID.pdf: the roster, sealed if it has been."""
    session = await page_session(request)
    rosters = portal_of(request).rosters
    roster = await run_in_threadpool(rosters.find, session.unit, request.path_params["id"])
    sealed = roster.state is RosterState.SEALED
    read = rosters.sealed_pdf if sealed else rosters.pdf
    pdf = await run_in_threadpool(read, session.unit, roster.id)
    name = quote(f"{roster.title}{'（已签章）' if sealed else ''}.pdf")
    return Response(
        pdf,
        media_type="application/pdf",
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
    )


async def preview(request: Request) -> Response:
    """GET /business/enrolment/rosters/ID/preview: 预览."""
    session = await page_session(request)
    rosters = portal_of(request).rosters
    roster = await run_in_threadpool(rosters.find, session.unit, request.path_params["id"])
    sealed = await run_in_threadpool(rosters.sealed_pdf, session.unit, roster.id)
    count = await run_in_threadpool(page_count, sealed)
    return page(
        request,
        "enrolment/preview.html",
        session,
        tab="reports",
        roster=roster,
        pages=count,
        zone=CHINA,
    )


async def preview_page(request: Request) -> Response:
    """GET /business/enrolment/rosters/ID/pages/N.png: one page of the sealed roster."""
    session = await page_session(request)
    rosters = portal_of(request).rosters
    sealed = await run_in_threadpool(rosters.sealed_pdf, session.unit, request.path_params["id"])
    png = await run_in_threadpool(draw_page, sealed, request.path_params["number"])
    return Response(png, media_type="image/png")


def routes() -> list[Route]:
    """Return the routes of the business pages."""
    base = "/business/enrolment"
    return [
        Route("/business", business),
        Route(base, enrolment),
        Route(_MONTH, month),
        Route(f"{base}/persons/new", new_person),
        Route(f"{base}/persons", enter_person, methods=["POST"]),
        Route(f"{base}/persons/{{id:int}}", edit_person),
        Route(f"{base}/persons/{{id:int}}", enter_person, methods=["POST"]),
        Route(f"{base}/persons/{{id:int}}/remove", remove_person, methods=["POST"]),
        Route(f"{base}/submit", submit, methods=["POST"]),
        Route(f"{base}/reports", reports),
        Route(_HAND_IN, hand_in),
        Route(f"{base}/rosters", produce, methods=["POST"]),
        Route(f"{base}/rosters/{{id}}.pdf", roster_pdf),
        Route(f"{base}/rosters/{{id}}/withdraw", withdraw, methods=["POST"]),
        Route(f"{base}/rosters/{{id}}/sealed", take_back, methods=["POST"]),
        Route(f"{base}/rosters/{{id}}/preview", preview),
        Route(f"{base}/rosters/{{id}}/pages/{{number:int}}.png", preview_page),
    ]


def _list_fields(request: Request) -> list[Field]:
    rules = portal_of(request).rules
    return [rules.field(code) for code in _LIST_FIELDS]


async def _month_page(
    request: Request,
    session: Session,
    *,
    faulty: dict[int, dict[str, str]] | None,
    refusal: PortalRefusal | None = None,
) -> Response:
    portal = portal_of(request)
    entered = await run_in_threadpool(portal.persons.listed, session.unit, PersonState.ENTERED)
    today = await run_in_threadpool(portal.persons.today)
    return page(
        request,
        "enrolment/month.html",
        session,
        status=refusal.status if refusal else 200,
        tab="month",
        fields=_list_fields(request),
        persons=entered,
        today=today,
        faulty=faulty,
        refusal=refusal,
    )


def _person_page(
    request: Request,
    session: Session,
    person_id: int | None,
    values: dict[str, str],
    faults: dict[str, str],
) -> Response:
    rules = portal_of(request).rules
    return page(
        request,
        "enrolment/person.html",
        session,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK,
        tab="month",
        person_id=person_id,
        groups=rules.groups(),
        field_of={field.code: field for field in rules.fields},
        values=values,
        faults=faults,
    )


async def _hand_in_page(
    request: Request,
    session: Session,
    *,
    refusal: PortalRefusal | None = None,
    refused: str | None = None,
) -> Response:
    portal = portal_of(request)
    words: dict[str, object] = {
        "waiting": await run_in_threadpool(portal.rosters.waiting, session.unit),
        "rosters": await run_in_threadpool(portal.rosters.listed, session.unit),
    }
    return page(
        request,
        "enrolment/handin.html",
        session,
        status=refusal.status if refusal else 200,
        tab="reports",
        title=portal.rules.title,
        origin=portal.settings.origin,
        authority=portal.settings.authority,
        zone=CHINA,
        refusal=refusal,
        refused=refused,
        **words,
    )

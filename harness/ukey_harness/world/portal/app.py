"""The portal as one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from ukey_harness.world.units import Unit

from . import api, business_pages, pages
from .answers import refusal_answer, refusal_of_status
from .door import GoTo, portal_of
from .guard import BodyGuard, FaultGuard, HeaderGuard, OriginGuard
from .parts import Portal
from .refusals import PortalRefusal
from .settings import PortalSettings

_STATIC = Path(__file__).parent / "static"


def create_portal(settings: PortalSettings) -> Starlette:
    """Return the portal, to be served by uvicorn at the settings' origin. For tests only.

    The database is opened here and closed when the application's lifespan ends; who serves
    without a lifespan closes it with `close_portal`.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        portal.close()

    portal = Portal.open(settings)
    app = Starlette(
        routes=[
            *api.routes(),
            *pages.routes(),
            *business_pages.routes(),
            Mount("/static", StaticFiles(directory=_STATIC), name="static"),
        ],
        middleware=[
            Middleware(HeaderGuard),
            Middleware(FaultGuard, settings=settings),
            Middleware(OriginGuard, settings=settings),
            Middleware(BodyGuard, settings=settings),
        ],
        exception_handlers={
            PortalRefusal: _refused,
            HTTPException: _refused_by_framework,
            GoTo: _sent_on,
        },
        lifespan=lifespan,
    )
    app.state.portal = portal
    return app


def add_account(app: Starlette, user: str, password: str, unit: Unit) -> None:
    """Give the portal an old account: `user` with `password` reports for `unit`.

    An account of that name gets the new password and unit. Raises ValueError where user or
    password is empty or too long.
    """
    portal: Portal = app.state.portal
    portal.accounts.add(user, password, unit)


def close_portal(app: Starlette) -> None:
    """Close the portal's database; the application answers nothing useful afterwards."""
    portal: Portal = app.state.portal
    portal.close()


def _refused(request: Request, error: Exception) -> Response:
    refusal = error if isinstance(error, PortalRefusal) else PortalRefusal("internal")
    return refusal_answer(request.scope, refusal, portal_of(request).settings)


def _refused_by_framework(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return refusal_answer(request.scope, refusal_of_status(status), portal_of(request).settings)


def _sent_on(_: Request, error: Exception) -> Response:
    return RedirectResponse(error.path if isinstance(error, GoTo) else "/", status_code=303)

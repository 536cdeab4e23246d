"""What every request passes before anything of it is looked at (ASGI middleware)."""

from __future__ import annotations

import logging
import sqlite3
import time
from typing import Final

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .answers import refusal_answer
from .refusals import PortalRefusal
from .settings import MIB, PortalSettings

_log = logging.getLogger(__name__)

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_DRAIN_LIMIT: Final = 64 * MIB
"""So much of a refused body is read and thrown away, so that the sender can read our answer."""

_HEADERS: Final = {
    # No script at all, nothing from elsewhere, no frame around our pages.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # same-origin, not no-referrer: with that one browsers send "Origin: null" from our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class HeaderGuard:
    """Puts the security headers on every answer; nothing but our style may be cached."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete the answer's headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if not scope["path"].startswith("/static/"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self._app(scope, receive, send_guarded)


class FaultGuard:
    """Turns what nobody caught into an answer without a traceback."""

    def __init__(self, app: ASGIApp, settings: PortalSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer 500, or 503 where the store cannot be written."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except ClientDisconnect:
            return
        except Exception as error:
            code = "storage_unavailable" if isinstance(error, sqlite3.Error) else "internal"
            _log.error("%s %s failed: %s", scope["method"], scope["path"], type(error).__name__)
            _log.debug("the traceback", exc_info=True)
            if started:
                raise
            answer = refusal_answer(scope, PortalRefusal(code), self._settings)
            await answer(scope, receive, send)


class OriginGuard:
    """Answers to the portal's own name only, and takes changes from its own pages only.

    The Host check is what stops DNS rebinding: a stranger's name that points to our address.
    """

    def __init__(self, app: ASGIApp, settings: PortalSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if its Host, Origin and Sec-Fetch-Site headers are right."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refused(scope["method"], Headers(scope=scope))
        if refused is None:
            await self._app(scope, receive, send)
            return
        _log.warning("%s refused: %s", scope["method"], refused)
        answer = refusal_answer(scope, PortalRefusal(refused), self._settings)
        await answer(scope, receive, send)

    def _refused(self, method: str, headers: Headers) -> str | None:
        if headers.getlist("host") != [self._settings.host]:
            return "host_refused"
        if method in _SAFE:
            return None
        origins = headers.getlist("origin")
        if origins and origins != [self._settings.origin]:
            return "origin_refused"
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return "origin_refused"
        return None


class BodyGuard:
    """Limits how large a body is, and how long it may take to arrive."""

    def __init__(self, app: ASGIApp, settings: PortalSettings) -> None:
        self._app = app
        self._limits = settings.limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; reading too much, or for too long, raises a refusal."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sealed = scope["path"].rstrip("/").endswith("/sealed")
        limit = self._limits.sealed_bytes if sealed else self._limits.form_bytes
        ends = time.monotonic() + self._limits.body_seconds
        taken = 0
        complete = False

        async def receive_limited() -> Message:
            nonlocal taken, complete
            if complete:
                return await receive()
            message = await _within(receive, ends)
            taken += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if taken <= limit:
                return message
            while not complete and taken <= _DRAIN_LIMIT:
                message = await _within(receive, ends)
                taken += len(message.get("body", b""))
                complete = not message.get("more_body", False)
            size = f"{limit // MIB} MB" if limit >= MIB else f"{limit // 1024} KB"
            raise PortalRefusal("too_large", f"提交的内容过大，最多 {size}。", limit=limit)

        await self._app(scope, receive_limited, send)


async def _within(receive: Receive, ends: float) -> Message:
    try:
        with anyio.fail_after(max(0.0, ends - time.monotonic())):
            return await receive()
    except TimeoutError as error:
        raise PortalRefusal("request_timeout") from error

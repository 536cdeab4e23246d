"""CMP over HTTP (RFC 9811, RFC 9483 §6.1)."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ukey_client.renewal.cmp.message import MalformedMessage
from ukey_harness.world.ca.authority import CertificateAuthority
from ukey_harness.world.ca.cmp.responder import Responder
from ukey_harness.world.clock import Clock

MEDIA_TYPE = "application/pkixcmp"
SIZE_LIMIT = 64 * 1024
"""Octets of a request; a kur with a chain of RSA certificates has about 6,000."""


def cmp_routes(ca: CertificateAuthority, clock: Clock) -> list[Route]:
    """Return the routes on which the authority speaks CMP: /cmp and /.well-known/cmp.

    Refusals are CMP messages with the HTTP status 200, protected by the authority. Only what
    is no CMP message at all gets an HTTP error.
    """
    responder = Responder(ca, clock)

    async def transfer(request: Request) -> Response:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != MEDIA_TYPE:
            return PlainTextResponse(f"the content type must be {MEDIA_TYPE}\n", 415)
        try:
            body = await _read(request)
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            return PlainTextResponse(f"a message may have {SIZE_LIMIT} octets\n", 413)
        try:
            answer = await run_in_threadpool(responder.answer, body)
        except MalformedMessage:
            return PlainTextResponse("this is no CMP message in DER\n", 400)
        return Response(answer, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})

    return [Route(path, transfer, methods=["POST"]) for path in ("/cmp", "/.well-known/cmp")]


async def _read(request: Request) -> bytes | None:
    """Read the body; None if it is longer than the limit."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > SIZE_LIMIT:
            return None
    return bytes(body)

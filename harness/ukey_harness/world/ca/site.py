"""The authority's site: its services over plain HTTP, and its page for people.

Certificates and revocation data are signed, so that plain HTTP does (RFC 5280 §8).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from jinja2 import Environment
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ukey_harness.world.ca import crl, ocsp, tsa
from ukey_harness.world.ca.authority import CertificateAuthority
from ukey_harness.world.ca.cmp import cmp_routes
from ukey_harness.world.ca.profile import ISSUING, ROOT

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

_REQUEST_LIMIT = 64 * 1024


def create_ca_site(ca: CertificateAuthority) -> Starlette:
    """Return the application that serves the authority's page, files and services."""
    routes = [
        Route("/", _landing(ca)),
        Route("/certs/root.crt", _certificate(ca.root)),
        Route("/certs/issuing.crt", _certificate(ca.issuing)),
        Route("/crl/root.crl", _crl(ca, ROOT)),
        Route("/crl/issuing.crl", _crl(ca, ISSUING)),
        Route("/ocsp", _ocsp(ca), methods=["POST"]),
        Route("/ocsp/{request:path}", _ocsp_by_get(ca), methods=["GET"]),
        Route("/tsa", _tsa(ca), methods=["POST"]),
        *cmp_routes(ca, ca.clock),
    ]
    return Starlette(routes=routes)


async def read_body(request: Request, limit: int = _REQUEST_LIMIT) -> bytes:
    """Return the request's body; HTTP 413 as soon as it exceeds `limit` bytes."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > limit:
                raise HTTPException(413, f"a request here has at most {limit} bytes")
    except ClientDisconnect as error:
        raise HTTPException(400, "the request broke off") from error
    return bytes(body)


def _landing(ca: CertificateAuthority) -> Endpoint:
    template = Environment(autoescape=True).from_string(
        resources.files(__package__).joinpath("landing.html").read_text(encoding="utf-8")
    )

    async def landing(_request: Request) -> Response:
        page = template.render(
            url=ca.url,
            certificates=[
                ("根证书", "root", _description(ca.root)),
                ("签发证书", "issuing", _description(ca.issuing)),
            ],
        )
        return HTMLResponse(page)

    return landing


def _description(certificate: x509.Certificate) -> dict[str, str | list[str]]:
    return {
        "name": str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value),
        "until": f"{certificate.not_valid_after_utc:%Y-%m-%d}",
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(":").upper().split(":"),
    }


def _certificate(certificate: x509.Certificate) -> Endpoint:
    der = certificate.public_bytes(Encoding.DER)

    async def certificate_file(_request: Request) -> Response:
        # DER, as RFC 5280 §4.2.2.1 asks of the target of caIssuers.
        return Response(der, media_type="application/pkix-cert")

    return certificate_file


def _crl(ca: CertificateAuthority, issuer: str) -> Endpoint:
    async def crl_file(_request: Request) -> Response:
        return Response(crl.current(ca, issuer), media_type="application/pkix-crl")

    return crl_file


def _ocsp(ca: CertificateAuthority) -> Endpoint:
    async def ocsp_by_post(request: Request) -> Response:
        answer = ocsp.answer(ca, await read_body(request))
        return Response(answer, media_type="application/ocsp-response")

    return ocsp_by_post


def _ocsp_by_get(ca: CertificateAuthority) -> Endpoint:
    async def ocsp_by_get(request: Request) -> Response:
        # RFC 6960 A.1: the request in base64, percent-encoded, as the rest of the path.
        try:
            body = base64.b64decode(request.path_params["request"], validate=True)
        except binascii.Error:
            body = b""
        return Response(ocsp.answer(ca, body), media_type="application/ocsp-response")

    return ocsp_by_get


def _tsa(ca: CertificateAuthority) -> Endpoint:
    async def timestamp(request: Request) -> Response:
        answer = tsa.answer(ca, await read_body(request))
        return Response(answer, media_type="application/timestamp-reply")

    return timestamp

"""Fetching what a CA says of its certificates: OCSP (RFC 6960), CRLs (RFC 5280 §5).

Only certificates whose chain has been verified come here, so that the addresses asked are ones
that a trusted CA wrote, never ones that a stranger put into a certificate of his own.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Final
from urllib.parse import urlsplit

import httpx2
from asn1crypto import core, crl, ocsp, x509
from cryptography import x509 as pyca
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequestBuilder

_log = logging.getLogger(__name__)

_NONCE_BYTES: Final = 32
"""RFC 9654 §2.1: at least 32 bytes."""
_ANSWER_LIMIT: Final = 4 * 1024 * 1024
_ADDRESSES: Final = 3
"""So many addresses of each kind are tried for a certificate."""


class StatusFetcher:
    """Asks CAs over HTTP, within a time limit for each request."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def responses(
        self, certificate: x509.Certificate, issuer: x509.Certificate
    ) -> list[ocsp.OCSPResponse]:
        """Ask the responders that the certificate names; an empty list if none answers well.

        The answer's signature and times are not judged here.
        """
        for address in _limited(certificate.ocsp_urls):
            answer = await self._ask(address, certificate, issuer)
            if answer is not None:
                return [answer]
        return []

    async def crls(self, certificate: x509.Certificate) -> list[crl.CertificateList]:
        """Fetch the CRLs of the certificate's distribution points; those that can be had."""
        addresses = [
            address
            for point in certificate.crl_distribution_points
            if (address := point.url) is not None
        ]
        found = []
        for address in _limited(addresses):
            body = await self._exchange("GET", address)
            if body is None:
                continue
            try:
                found.append(crl.CertificateList.load(body, strict=True))
            except (ValueError, TypeError):
                _log.warning("what %s sent is not a CRL", address)
        return found

    async def _ask(
        self,
        address: str,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
    ) -> ocsp.OCSPResponse | None:
        # SHA-1 only names the certificate to the responder, and is what every responder knows
        # (RFC 5019 §2.1.1); nothing rests on its strength.
        nonce = secrets.token_bytes(_NONCE_BYTES)
        request = (
            OCSPRequestBuilder()
            .add_certificate(_pyca(certificate), _pyca(issuer), SHA1())  # noqa: S303 - an index
            .add_extension(pyca.OCSPNonce(nonce), critical=False)
            .build()
        )
        body = await self._exchange(
            "POST", address, request.public_bytes(Encoding.DER), "application/ocsp-request"
        )
        if body is None:
            return None
        try:
            response = ocsp.OCSPResponse.load(body, strict=True)
            if response["response_status"].native != "successful":
                _log.warning("%s answered %s", address, response["response_status"].native)
                return None
            if not _nonce_fits(response, nonce):
                _log.warning("%s answered another request than ours (nonce)", address)
                return None
        except (ValueError, TypeError, KeyError):
            _log.warning("what %s sent is not an OCSP response", address)
            return None
        return response

    async def _exchange(
        self, method: str, address: str, body: bytes | None = None, media_type: str = ""
    ) -> bytes | None:
        """Return the body of a 200 answer; None, logged, for anything else."""
        headers = {"Content-Type": media_type} if media_type else {}
        try:
            async with (
                asyncio.timeout(self._seconds),
                httpx2.AsyncClient(trust_env=False, follow_redirects=False) as client,
                client.stream(method, address, content=body, headers=headers) as response,
            ):
                if response.status_code != httpx2.codes.OK:
                    _log.warning("%s answered HTTP %d", address, response.status_code)
                    return None
                answer = bytearray()
                async for chunk in response.aiter_bytes():
                    answer += chunk
                    if len(answer) > _ANSWER_LIMIT:
                        _log.warning("%s sent more than %d bytes", address, _ANSWER_LIMIT)
                        return None
                return bytes(answer)
        except TimeoutError:
            _log.warning("%s did not answer within %.1f s", address, self._seconds)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            _log.warning("%s cannot be reached: %s", address, type(error).__name__)
        return None


def _limited(addresses: list[str]) -> list[str]:
    return [a for a in addresses if urlsplit(a).scheme in {"http", "https"}][:_ADDRESSES]


def _nonce_fits(response: ocsp.OCSPResponse, nonce: bytes) -> bool:
    """Whether the nonce is ours, or there is none (RFC 9654 §2.1 lets a responder leave it)."""
    value = response.nonce_value
    if value is None:
        return True
    if isinstance(value, core.OctetString):
        return bool(value.native == nonce)
    return False


def _pyca(certificate: x509.Certificate) -> pyca.Certificate:
    return pyca.load_der_x509_certificate(certificate.dump())

"""The parties of a renewal, for tests: an authority with its CMP server, and a holder."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from software_token import PrivateKey, SoftwareToken
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from ukey_client.renewal.cmp.protection import algorithm_for, verify
from ukey_client.token import HeldCertificate, Token
from ukey_harness.world import web
from ukey_harness.world.ca import CertificateAuthority
from ukey_harness.world.ca.cmp import cmp_routes
from ukey_harness.world.clock import Clock
from ukey_harness.world.units import Unit


@dataclass
class Wire:
    """Stands before the CMP server and spoils the exchange number `at` (from 1), in `way`.

    deaf: the request does not reach the server. lost: the server does its work, the answer is
    lost. garbage, tampered, empty, page: the answer is replaced or changed.
    """

    app: Any
    at: int | None = None
    way: str = "deaf"
    count: int = 0
    requests: list[bytes] = field(default_factory=list)

    def spoil(self, at: int, way: str) -> None:
        self.at, self.way, self.count = at, way, 0

    def mend(self) -> None:
        self.at, self.count = None, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.count += 1
        if self.count != self.at:
            await self.app(scope, receive, send)
        elif self.way == "deaf":
            await _answer(send, 503, b"", b"text/plain")
        else:
            body = bytearray()

            async def keep(message: Message) -> None:
                body.extend(message.get("body", b""))

            await self.app(scope, receive, keep)
            await _SPOILED[self.way](send, bytes(body))


async def _lost(send: Send, _: bytes) -> None:
    await _answer(send, 504, b"", b"text/plain")


async def _garbage(send: Send, body: bytes) -> None:
    await _answer(send, 200, b"\x30\x82" + body[4:40], b"application/pkixcmp")


async def _tampered(send: Send, body: bytes) -> None:
    middle = len(body) // 2
    changed = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
    await _answer(send, 200, changed, b"application/pkixcmp")


async def _empty(send: Send, _: bytes) -> None:
    await _answer(send, 200, b"", b"application/pkixcmp")


async def _page(send: Send, _: bytes) -> None:
    await _answer(send, 200, b"<html>login here</html>", b"text/html")


_SPOILED = {
    "lost": _lost,
    "garbage": _garbage,
    "tampered": _tampered,
    "empty": _empty,
    "page": _page,
}
WAYS = ("deaf", *_SPOILED)


async def _answer(send: Send, status: int, body: bytes, media_type: bytes) -> None:
    headers = [(b"content-type", media_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class CmpAuthority:
    """An authority for tests that serves CMP, through a wire that can be spoiled."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        listener = web.bind()
        self.url = f"http://{web.HOST}:{web.port_of(listener)}"
        self.cmp_url = f"{self.url}/cmp"
        self.ca = CertificateAuthority.open(folder, self.url, self.clock)
        self.wire = Wire(Starlette(routes=cmp_routes(self.ca, self.clock)))
        self._service = web.Service("ca", self.wire, listener)
        self._units = 0

    def unit(self) -> Unit:
        """Return a unit that no other test uses."""
        self._units += 1
        return Unit.example(self._units)

    def new_holder(
        self, kind: str = "p256", *, days: int = 60, age: timedelta = timedelta(0)
    ) -> tuple[SoftwareToken, HeldCertificate]:
        """Return a key with a certificate of a new unit, issued `age` ago for `days` days."""
        key = new_key(kind)
        unit = self.unit()
        certificate = self.ca.issue(
            key.public_key(), unit, days=days, not_before=self.clock.now() - age
        )
        token = SoftwareToken()
        return token, token.holds(key, certificate, unit.name)

    def is_good(self, certificate: x509.Certificate) -> bool:
        now = self.clock.now()
        return not self.ca.is_revoked(certificate.serial_number) and (
            certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
        )

    def works(self, token: Token, held: HeldCertificate) -> bool:
        """Whether one can log in with a certificate: its key signs, the authority stands by it."""
        data = b"login challenge"
        public_key = held.certificate.public_key()
        try:
            verify(public_key, algorithm_for(public_key), token.sign(held, data), data)
        except (InvalidSignature, ValueError):
            return False
        return self.is_good(held.certificate)

    def close(self) -> None:
        self._service.stop()
        self.ca.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def new_key(kind: str) -> PrivateKey:
    if kind == "rsa2048":
        return rsa.generate_private_key(65537, 2048)
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind])

"""Time-stamps (RFC 3161) from the CA's authority, within our limits of time and size."""

from typing import Any, ClassVar, Final

from asn1crypto import cms, core, tsp
from cryptography import x509
from pyhanko.sign.timestamps import TimeStamper

from ukey_client.errors import TimestampRefused, Unreachable
from ukey_client.network.exchange import Exchange

_SERVICE: Final = "时间戳服务"
_LIMIT: Final = 256 * 1024  # bytes
_OK: Final = 200


class _Response(core.Sequence):  # type: ignore[misc]
    """TimeStampResp (RFC 3161 §2.4.2); asn1crypto's does not know that a refusal has no token."""

    _fields: ClassVar = [
        ("status", tsp.PKIStatusInfo),
        ("time_stamp_token", cms.ContentInfo, {"optional": True}),
    ]


class TimeAuthority(TimeStamper):
    """A time-stamping authority at an address; what it gives is checked before it is used."""

    def __init__(self, url: str) -> None:
        super().__init__(include_nonce=True)  # type: ignore[no-untyped-call]
        self.url = url

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        """Ask for a token over a digest, and check that it is for this request."""
        nonce, request = self.request_cms(message_digest, md_algorithm)  # type: ignore[no-untyped-call]
        try:
            response = await self.async_request_tsa_response(request)
            token = response["time_stamp_token"]
            if response["status"]["status"].native not in {"granted", "granted_with_mods"}:
                raise self._refused(_reason(response))
            info = token["content"]["encap_content_info"]["content"].parsed
            given = (info["nonce"].native, info["message_imprint"].dump())
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._refused("应答不是时间戳") from error
        # RFC 3161 §2.4.2: the same nonce and the same imprint, or it is for somebody else.
        if given != (nonce, request["message_imprint"].dump()):
            raise self._refused("时间戳与请求不符")
        return token

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> "_Response":
        """Send a request; Unreachable if there is no answer."""
        with Exchange(self.url, _SERVICE) as exchange:
            answer = exchange.post("", req.dump(), "application/timestamp-query", limit=_LIMIT)
        if answer.status != _OK:
            raise Unreachable(_SERVICE, self.url, f"HTTP {answer.status}")
        response: _Response = _Response.load(answer.body, strict=True)
        return response

    def certificates(self) -> list[x509.Certificate]:
        """Certificates that the authority has signed with so far."""
        return [x509.load_der_x509_certificate(one.dump()) for one in self._certs.values()]

    def _refused(self, reason: str) -> TimestampRefused:
        return TimestampRefused(self.url, reason)


def _reason(response: Any) -> str:  # noqa: ANN401 - asn1crypto has no types
    status = response["status"]
    texts = status["status_string"].native or []
    failures = sorted(status["fail_info"].native or [])
    return "；".join([*texts, *failures]) or str(status["status"].native)

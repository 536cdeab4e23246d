"""CMP messages over HTTP, as the one who asks (RFC 9811, RFC 9483 §6.1)."""

from typing import Final, Self

from ukey_client.errors import Unreachable
from ukey_client.network.exchange import Exchange
from ukey_client.renewal.errors import AnswerOdd

MEDIA_TYPE: Final = "application/pkixcmp"
_SERVICE: Final = "认证机构（CA）"
_LIMIT: Final = 256 * 1024  # bytes of an answer; a certificate with its chain has about 6,000
# A server of HTTP/1.0 that keeps connections, as OpenSSL's does, takes the end of one that was not
# announced for the end of the transaction; and our HTTP keeps none to a server of HTTP/1.0.
_ONE_EACH: Final = {"Connection": "close"}
_OK: Final = 200
_SERVER_ERROR: Final = 500


class Transfer:
    """The way to one CMP server."""

    def __init__(self, url: str) -> None:
        self._exchange = Exchange(url, _SERVICE)

    @property
    def url(self) -> str:
        """The address of the server."""
        return self._exchange.url

    def send(self, message: bytes) -> bytes:
        """Send a message and return the answer's bytes; Unreachable, or AnswerOdd."""
        answer = self._exchange.post("", message, MEDIA_TYPE, headers=_ONE_EACH, limit=_LIMIT)
        if answer.media_type == MEDIA_TYPE and answer.body:
            return answer.body  # whatever the status: an error of CMP says more than one of HTTP
        if answer.status >= _SERVER_ERROR:
            raise Unreachable(_SERVICE, self.url, f"HTTP {answer.status}")
        if answer.status != _OK:
            raise AnswerOdd(self.url, f"HTTP {answer.status}")
        raise AnswerOdd(self.url, "那里不是证书管理（CMP）服务")

    def close(self) -> None:
        """Let the connections go."""
        self._exchange.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""One HTTP exchange after another with one service, each within a time and a size."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from http.cookies import CookieError, SimpleCookie
from typing import Final, Self
from urllib.parse import urlsplit

import httpx2

from ukey_client.errors import Unreachable
from ukey_client.network.address import is_loopback, service_url

_TIMEOUT: Final = httpx2.Timeout(15.0, connect=5.0)
_DEADLINE: Final = 60.0  # seconds for a whole exchange, however slowly it drips
_LARGEST: Final = 64 * 1024 * 1024  # bytes


@dataclass(frozen=True)
class Answer:
    """What a service answered."""

    status: int
    media_type: str
    body: bytes


class Exchange:
    """HTTP with one service, whose Chinese name stands in the errors."""

    def __init__(self, url: str, service: str) -> None:
        self.url = service_url(url)
        self.service = service
        # A proxy of the environment must not see what is meant for this machine.
        local = is_loopback(urlsplit(self.url).hostname or "")
        # One service needs no rules about domains; the usual jar has its own mind of localhost.
        no_jar = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        self._client = httpx2.Client(timeout=_TIMEOUT, trust_env=not local, cookies=no_jar)
        self._cookies: dict[str, str] = {}

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that the service has set."""
        return dict(self._cookies)

    def set_cookies(self, cookies: Mapping[str, str]) -> None:
        """Replace the cookies."""
        self._cookies = dict(cookies)

    def get(self, path: str = "", *, limit: int = _LARGEST) -> Answer:
        """GET below the service's address; Unreachable if there is no whole answer in time."""
        return self._send("GET", path, None, {}, limit)

    def post(
        self,
        path: str,
        body: bytes,
        media_type: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = _LARGEST,
    ) -> Answer:
        """POST below the service's address; Unreachable if there is no whole answer in time."""
        sent = {"Content-Type": media_type, **(headers or {})}
        return self._send("POST", path, body, sent, limit)

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], limit: int
    ) -> Answer:
        url = self.url + path
        headers = {**headers, **self._cookie_header()}
        ends = time.monotonic() + _DEADLINE
        try:
            with self._client.stream(method, url, content=body, headers=headers) as response:
                chunks, size = [], 0
                for chunk in response.iter_bytes():
                    size += len(chunk)
                    if size > limit:
                        raise Unreachable(self.service, url, "应答过大")
                    if time.monotonic() > ends:
                        raise Unreachable(self.service, url, "应答超时")
                    chunks.append(chunk)
                self._take_cookies(response.headers.get_list("set-cookie"))
                media_type = response.headers.get("content-type", "").partition(";")[0].strip()
                return Answer(response.status_code, media_type.lower(), b"".join(chunks))
        except httpx2.TimeoutException as error:
            raise Unreachable(self.service, url, "连接超时") from error
        except (httpx2.ConnectError, httpx2.ProxyError) as error:
            reason = "服务器证书无效" if "CERTIFICATE" in str(error).upper() else "连接不上"
            raise Unreachable(self.service, url, reason) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unreachable(self.service, url, "通信中断或应答不合规范") from error

    def _cookie_header(self) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        return {"Cookie": cookies} if cookies else {}

    def _take_cookies(self, lines: list[str]) -> None:
        for line in lines:
            with contextlib.suppress(CookieError):
                for name, morsel in SimpleCookie(line).items():
                    if morsel["max-age"] == "0" or not morsel.value:
                        self._cookies.pop(name, None)
                    else:
                        self._cookies[name] = morsel.coded_value

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""Addresses of services: what they must look like, and where secrets may go."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from ukey_client.errors import InsecureAddress

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def service_url(url: str) -> str:
    """Check an http or https address and give it without a trailing slash."""
    _parts(url)
    return url.rstrip("/")


def origin_of(url: str) -> str:
    """Scheme, host and port of a portal's address (RFC 6454 §6.2), default ports left out.

    A portal gets a password and a session cookie: it must be reached by https, or stand on this
    very machine. InsecureAddress says so.
    """
    scheme, host, port = _parts(url)
    parts = urlsplit(url)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise InsecureAddress(url, "只需写到主机和端口，例如 https://主机：端口")
    if scheme == "http" and not is_loopback(host):
        raise InsecureAddress(url, "必须使用 https（只有本机地址可以用 http）")
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + ("" if port == _DEFAULT_PORTS[scheme] else f":{port}")


def origin_of_page(url: str) -> str:
    """Origin of a page below a portal, by the rules of `origin_of`."""
    _parts(url)
    parts = urlsplit(url)
    return origin_of(f"{parts.scheme}://{parts.netloc}")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parts(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError as error:
        raise InsecureAddress(url, "不是有效的网址") from error
    if scheme not in _DEFAULT_PORTS or not host:
        raise InsecureAddress(url, "不是 http 或 https 网址")
    if parts.username is not None or parts.password is not None:
        raise InsecureAddress(url, "网址中不能含有用户名或密码")
    return scheme, host, port or _DEFAULT_PORTS[scheme]

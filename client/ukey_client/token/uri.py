"""PKCS#11 URIs (RFC 7512): which token, which object on it, and where its PIN is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

from ukey_client.errors import TokenUriInvalid
from ukey_client.token.port import HeldCertificate

_SCHEME = "pkcs11:"
_TOKEN_ATTRIBUTES = frozenset({"token", "manufacturer", "serial", "model"})
_SLOT_ATTRIBUTES = frozenset({"slot-id", "slot-description", "slot-manufacturer"})
_LIBRARY_ATTRIBUTES = frozenset({"library-manufacturer", "library-version", "library-description"})
_OBJECT_ATTRIBUTES = frozenset({"object", "type", "id"})
_TYPES = frozenset({"public", "private", "cert", "secret-key", "data"})
_KNOWN = _TOKEN_ATTRIBUTES | _SLOT_ATTRIBUTES | _LIBRARY_ATTRIBUTES | _OBJECT_ATTRIBUTES
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True)
class TokenUri:
    """A parsed PKCS#11 URI.

    `wanted` holds the path attributes that must match, percent-decoded, except `id`, which is
    bytes and stands apart.
    """

    text: str
    wanted: Mapping[str, str] = field(default_factory=dict)
    id: bytes | None = None
    pin_source: Path | None = None
    module_path: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URI; TokenUriInvalid names what is wrong with it."""
        if text[: len(_SCHEME)].lower() != _SCHEME:
            raise TokenUriInvalid(text, "必须以 pkcs11: 开头")
        path, _, query = text[len(_SCHEME) :].partition("?")
        wanted: dict[str, str] = {}
        id_: bytes | None = None
        for name, raw in _attributes(text, path, ";"):
            if name not in _KNOWN:
                raise TokenUriInvalid(text, f"不认识的属性 {name}")
            if name in wanted or (name == "id" and id_ is not None):
                raise TokenUriInvalid(text, f"属性 {name} 重复出现")
            if name == "id":
                id_ = unquote_to_bytes(raw)
                continue
            wanted[name] = _decoded(text, name, raw)
        if wanted.get("type", "cert") not in _TYPES:
            raise TokenUriInvalid(text, f"type 不能是 {wanted['type']}")
        if not wanted.get("slot-id", "0").isdecimal():
            raise TokenUriInvalid(text, "slot-id 必须是数字")
        pin_source, module_path = _read_query(text, query)
        return cls(text, wanted, id_, pin_source, module_path)

    @classmethod
    def of_token(cls, label: str, serial: str) -> str:
        """Write the URI of one token."""
        parts = {"token": label, "serial": serial}
        return _SCHEME + ";".join(
            f"{name}={quote(value, safe='')}" for name, value in parts.items()
        )

    def matches(self, facts: Mapping[str, str]) -> bool:
        """Whether a token with these facts, named as the URI's attributes, is meant."""
        asked = _TOKEN_ATTRIBUTES | _SLOT_ATTRIBUTES | _LIBRARY_ATTRIBUTES
        return all(facts.get(name) == self.wanted[name] for name in asked & self.wanted.keys())

    @property
    def names_object(self) -> bool:
        """Whether an object is meant, not only a token."""
        return self.id is not None or "object" in self.wanted

    def matches_certificate(self, certificate: HeldCertificate) -> bool:
        """Whether this certificate, or the key that belongs to it, is meant."""
        if self.id is not None and certificate.id != self.id:
            return False
        label = self.wanted.get("object")
        if label is None or label == certificate.label:
            return True
        return not certificate.is_damaged and label == certificate.owner


def _attributes(text: str, component: str, separator: str) -> list[tuple[str, str]]:
    pairs = []
    for part in component.split(separator):
        if not part:
            if component:
                raise TokenUriInvalid(text, "有空的属性")
            continue
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise TokenUriInvalid(text, f"“{part}”不是 名称=值 的形式")
        if _BROKEN_ESCAPE.search(value):
            raise TokenUriInvalid(text, f"属性 {name} 中的百分号编码不完整")
        pairs.append((name, value))
    return pairs


def _decoded(text: str, name: str, raw: str) -> str:
    try:
        return unquote(raw, errors="strict")
    except UnicodeDecodeError as error:
        raise TokenUriInvalid(text, f"属性 {name} 不是 UTF-8 文字") from error


def _read_query(text: str, query: str) -> tuple[Path | None, str | None]:
    pin_source: Path | None = None
    module_path: str | None = None
    for name, raw in _attributes(text, query, "&"):
        # Query attributes that are not known are ignored, RFC 7512 §2.4.
        if name == "pin-value":
            raise TokenUriInvalid(text, "不能把口令写在命令行里（pin-value），请改用 pin-source")
        if name == "pin-source":
            pin_source = _pin_source(text, _decoded(text, name, raw))
        elif name == "module-path":
            module_path = _decoded(text, name, raw)
    return pin_source, module_path


def _pin_source(text: str, value: str) -> Path:
    """RFC 7512 §2.4: a file: URI or a plain path; a program ('|cmd') is not run."""
    if value.startswith("|"):
        raise TokenUriInvalid(text, "pin-source 不能是程序，只支持 file: 文件")
    parts = urlsplit(value)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path:
        return Path(unquote(parts.path))
    if not parts.scheme and value:
        return Path(value)
    raise TokenUriInvalid(text, "pin-source 只支持 file: 文件")

"""What may be signed for a login: a text of this portal, for this login, for now."""

import re
from datetime import UTC, datetime
from typing import Final

from ukey_client.errors import ChallengeRefused
from ukey_client.login.portal import Challenge

_LONGEST: Final = 4096  # characters
_FORESEEABLE: Final = 3600  # seconds; a text that is good for longer is a stock of signatures
_NONCE: Final = re.compile(r"[0-9a-fA-F]{32,}")
_FIELD: Final = re.compile(r"(?P<name>[a-z]+): (?P<value>.*)")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def check(challenge: Challenge, origin: str, now: datetime) -> None:
    """Refuse a text that does not name this portal, a nonce and an expiry that lies ahead.

    The holder sees the text: it may hold no character that changes what is seen.
    """
    text = challenge.text
    if not text or len(text) > _LONGEST:
        raise ChallengeRefused("待签名的文字为空或过长")
    if _CONTROL.search(text):
        raise ChallengeRefused("待签名的文字含有不可见的控制字符")
    fields = _fields(text)
    named = fields.get("origin")
    if named != origin:
        raise ChallengeRefused(
            f"待签名的文字属于另一个网站（{named or '未注明'}），而您访问的是 {origin}"
        )
    if not _NONCE.fullmatch(fields.get("nonce", "")):
        raise ChallengeRefused("待签名的文字没有一次性随机数")
    expires = _moment(fields.get("expires", ""))
    if expires != challenge.expires:
        raise ChallengeRefused("待签名的文字与应答中的有效期不一致")
    left = (expires - now).total_seconds()
    if left <= 0:
        raise ChallengeRefused("待签名的文字已经过期，请检查本机时间后重新登录")
    if left > _FORESEEABLE:
        raise ChallengeRefused("待签名的文字有效期过长，请检查本机时间")


def _fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        match = _FIELD.fullmatch(line.strip())
        if match is None:
            continue
        name = match["name"]
        if name in fields:
            raise ChallengeRefused(f"待签名的文字中 {name} 重复出现")
        fields[name] = match["value"]
    return fields


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ChallengeRefused("待签名的文字没有注明有效期") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

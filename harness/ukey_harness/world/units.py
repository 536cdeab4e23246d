"""The units (单位) of the world: employers that hold certificates, all made up.

A unit is known by its 统一社会信用代码 (GB 32100-2015): 18 characters, of which the last is a check
character over the others, and characters 9 to 17 are an organisation code (GB 11714-1997) with
a check character of its own. Ours are right in both, and carry an area code that does not exist
(GB/T 2260 has no area 99 ....), so that none can be a real unit's.
"""

from __future__ import annotations

from dataclasses import dataclass

_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""GB 32100-2015 §4: the digits and letters, without I, O, S, V and Z."""
_CREDIT_BODY = 17
_ORGANISATION_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_NAME_LIMIT = 64
"""X.520: a common name and an organisation name have at most 64 characters."""

_AREA = "990001"
_EXAMPLES = 1_000_000
_TRADE_NAMES = ("青禾", "蓝桥", "云帆", "松涧", "晨溪", "竹苑", "石榴", "银杏")
_TRADES = (
    "机械制造",
    "软件技术",
    "餐饮管理",
    "建筑工程",
    "物流服务",
    "纺织印染",
    "医药零售",
    "园林绿化",
)


class UnitError(ValueError):
    """A unit's name, identifier or number is not what it must be."""


def credit_code_check(body: str) -> str:
    """Return the check character of the 17 characters `body` (GB 32100-2015, annex A)."""
    if len(body) != _CREDIT_BODY or any(sign not in _CREDIT_ALPHABET for sign in body):
        raise UnitError(
            f"{body!r} is not the body of a 统一社会信用代码: "
            f"17 characters of {_CREDIT_ALPHABET} are needed"
        )
    total = sum(_CREDIT_ALPHABET.index(sign) * pow(3, place, 31) for place, sign in enumerate(body))
    return _CREDIT_ALPHABET[-total % 31]


def organisation_code_check(body: str) -> str:
    """Return the check character of the 8 characters `body` (GB 11714-1997)."""
    if len(body) != len(_ORGANISATION_WEIGHTS) or any(
        sign not in _ORGANISATION_ALPHABET for sign in body
    ):
        raise UnitError(f"{body!r} is not the body of an organisation code: 8 of 0-9, A-Z")
    total = sum(
        _ORGANISATION_ALPHABET.index(sign) * weight
        for sign, weight in zip(body, _ORGANISATION_WEIGHTS, strict=True)
    )
    return "0123456789X"[-total % 11]


@dataclass(frozen=True)
class Unit:
    """A unit: its name (单位名称), identifier (统一社会信用代码) and number (单位编号, AAB001).

    Raises UnitError where one of them is not well formed.
    """

    name: str
    identifier: str
    number: str

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= _NAME_LIMIT or not self.name.isprintable():
            raise UnitError(f"{self.name!r} is not a unit's name: 1 to {_NAME_LIMIT} characters")
        check = credit_code_check(self.identifier[:_CREDIT_BODY])
        if self.identifier[_CREDIT_BODY:] != check:
            raise UnitError(
                f"{self.identifier!r} is not a 统一社会信用代码: after "
                f"{self.identifier[:_CREDIT_BODY]} the check character is {check}"
            )
        if not (self.number.isascii() and self.number.isdigit()):
            raise UnitError(f"{self.number!r} is not a 单位编号: digits are needed")

    @classmethod
    def example(cls, n: int = 0) -> Unit:
        """Return the made-up unit number `n` (below a million); each n gives another unit."""
        if not 0 <= n < _EXAMPLES:
            raise UnitError(f"there is no example unit {n}: 0 to {_EXAMPLES - 1}")
        organisation = f"TE{n:06d}"
        organisation += organisation_code_check(organisation)
        # 9: registered by the market supervision; 1: an enterprise (GB 32100-2015, table 1).
        body = f"91{_AREA}{organisation}"
        trade = _TRADES[n % len(_TRADES)]
        return cls(
            name=f"示例市{_trade_name(n // len(_TRADES))}{trade}有限公司",
            identifier=body + credit_code_check(body),
            number=f"99{n + 1:08d}",
        )


def _trade_name(n: int) -> str:
    """Return the trade name (字号) number `n`: n written with the trade names as digits."""
    rest, digit = divmod(n, len(_TRADE_NAMES))
    return (_trade_name(rest) if rest else "") + _TRADE_NAMES[digit]

"""Made-up persons for tests and demonstrations: their area code (990001) does not exist."""

from __future__ import annotations

from datetime import date, timedelta

from .checks import id_check_character

_AREA = "990001"
_SURNAMES = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨"
_GIVEN = ("晓岚", "子墨", "雨桐", "浩然", "思远", "佳宁", "文博", "一诺", "若溪", "景行", "知夏")
_SEQUENCES = 1000
_BIRTHS = 5000
_FARMERS = 4  # one in so many


def example_id_number(birth: date, sequence: int) -> str:
    """Return a made-up ID number; an odd sequence (0-999) is a man's, an even one a woman's."""
    if not 0 <= sequence < _SEQUENCES:
        raise ValueError(f"the sequence {sequence} is not within 0 to 999")
    body = f"{_AREA}{birth:%Y%m%d}{sequence:03d}"
    return body + id_check_character(body)


def example_person(n: int, today: date) -> dict[str, str]:
    """Return the data of the made-up person number `n`, good for enrolment on `today`."""
    birth = date(1985, 1, 1) + timedelta(days=n * 37 % _BIRTHS)
    sequence = (n + n // _BIRTHS) % _SEQUENCES
    enrolled = today.replace(day=1)
    farmer = n % _FARMERS == _FARMERS - 1
    return {
        "AAC002": example_id_number(birth, sequence),
        "AAC003": _SURNAMES[n % len(_SURNAMES)] + _GIVEN[n % len(_GIVEN)],
        "AAC004": "1" if sequence % 2 else "2",
        "AAC006": birth.isoformat(),
        "BIC701": birth.isoformat(),
        "AAC005": "01",
        "AAC017": "20",
        "AAC011": "20",
        "AAC009": "20" if farmer else "10",
        "AAC010": "示例市青禾区一号院",
        "AAC007": (enrolled - timedelta(days=30)).isoformat(),
        "AAC013": "20",
        "AAC012": "30" if farmer else "20",
        "AAC019": "0",
        "AAC020": "30",
        "AAC015": "0",
        "AAC014": "0",
        "AAC030": enrolled.isoformat(),
        "AAC040": f"{5000 + n % 60 * 100}.00",
        "AAA040": "20" if farmer else "10",
        "AAE005": f"139{10000000 + n % 80000000}",
        "AAE007": "990001",
        "AAE006": "示例市青禾区一号院",
        "AAE013": "",
    }

"""What a person's data must be before they can be enrolled: pure rules, no store, no clock.

Every fault gets its own Chinese sentence beside its field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Final

from .fields import Enrolment, Field, Kind

Faults = dict[str, str]
"""What is wrong, by field code."""

_ID_BODY: Final = 17
_ID_FORM: Final = re.compile(r"\d{17}[\dX]", re.ASCII)
_ID_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECKS: Final = "10X98765432"
_DATE_FORM: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MONEY_FORM: Final = re.compile(r"\d{1,9}(\.\d{1,2})?", re.ASCII)
_MOBILE: Final = re.compile(r"1[3-9]\d{9}", re.ASCII)
_LANDLINE: Final = re.compile(r"0\d{2,3}-?\d{7,8}(-\d{1,6})?", re.ASCII)
_POSTCODE: Final = re.compile(r"\d{6}", re.ASCII)
_NAME_FORM: Final = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffffA-Za-z·•. ]+")
_MALE, _FEMALE = "1", "2"
_EARLIEST: Final = date(1900, 1, 1)


def id_check_character(body: str) -> str:
    """Return the check character of the first 17 digits of an ID number (GB 11643-1999 §4.4)."""
    if len(body) != _ID_BODY or not (body.isascii() and body.isdigit()):
        raise ValueError("17 digits are needed")
    total = sum(int(sign) * weight for sign, weight in zip(body, _ID_WEIGHTS, strict=True))
    return _ID_CHECKS[total % 11]


def normalise(told: Mapping[str, str], rules: Enrolment) -> dict[str, str]:
    """Return the known fields of what was entered, trimmed; the ID number's x becomes X."""
    values = {field.code: told.get(field.code, "").strip() for field in rules.fields}
    values["AAC002"] = values["AAC002"].upper()
    return values


def check_person(values: Mapping[str, str], rules: Enrolment, today: date) -> Faults:
    """Return what is wrong with a person's data on the day `today` (in China); empty if nothing.

    values: the entered text by field code, normalised. Whether the person is enrolled already
    is the store's to say, not this function's.
    """
    faults: Faults = {}
    for field in rules.fields:
        fault = _check_form(field, values.get(field.code, ""))
        if fault:
            faults[field.code] = fault
    dates = {
        code: date.fromisoformat(values[code])
        for code in ("AAC006", "BIC701", "AAC007", "AAC030")
        if values.get(code) and code not in faults
    }
    _check_identity(values, dates, faults)
    _check_dates(dates, rules, today, faults)
    _check_wage(values, rules, faults)
    _check_farmer(values, rules, faults)
    return in_order(faults, rules)


def in_order(faults: Faults, rules: Enrolment) -> Faults:
    """Return the faults in the order of the fields on the screen."""
    return {field.code: faults[field.code] for field in rules.fields if field.code in faults}


def age_on(birth: date, day: date) -> int:
    """Return the full years of age on a day."""
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def months_between(earlier: date, later: date) -> int:
    """Return how many months lie between the months of two days (negative if the wrong way)."""
    return (later.year - earlier.year) * 12 + later.month - earlier.month


def _check_form(field: Field, value: str) -> str | None:
    if not value:
        verb = "请选择" if field.kind is Kind.CHOICE else "请填写"
        return f"{verb}{field.label}。" if field.required else None
    return _FORMS[field.kind](field, value)


def _choice_fault(field: Field, value: str) -> str | None:
    return None if value in dict(field.choices) else f"{field.label}不在可选范围内。"


def _money_fault(field: Field, value: str) -> str | None:
    if _MONEY_FORM.fullmatch(value):
        return None
    return f"{field.label}须为数字，最多两位小数，例如 5000.00。"


def _phone_fault(_: Field, value: str) -> str | None:
    if _MOBILE.fullmatch(value) or _LANDLINE.fullmatch(value):
        return None
    return "请填写 11 位手机号，或带区号的固定电话，例如 0311-12345678。"


def _postcode_fault(_: Field, value: str) -> str | None:
    return None if _POSTCODE.fullmatch(value) else "邮政编码须为 6 位数字。"


def _text_fault(field: Field, value: str) -> str | None:
    if len(value) > field.longest:
        return f"{field.label}最多 {field.longest} 个字，现有 {len(value)} 个。"
    if not value.isprintable():
        return f"{field.label}中有不能显示的字符。"
    if field.code == "AAC003" and not _NAME_FORM.fullmatch(value):
        return "姓名只能使用汉字、字母和间隔号（·）。"
    return None


def _id_number_fault(_: Field, value: str) -> str | None:
    if not _ID_FORM.fullmatch(value):
        return "公民身份号码须为 18 位：前 17 位为数字，末位为数字或 X。"
    if _born(value) is None:
        return "公民身份号码中的出生日期不存在，请核对。"
    if id_check_character(value[:_ID_BODY]) != value[_ID_BODY]:
        return "公民身份号码的校验位不正确，请核对是否有误。"
    return None


def _date_fault(field: Field, value: str) -> str | None:
    example = f"{field.label}须为有效日期，例如 2001-02-03。"
    if not _DATE_FORM.fullmatch(value):
        return example
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return example
    return None if day >= _EARLIEST else f"{field.label}过早，请核对。"


_FORMS: Final[dict[Kind, Callable[[Field, str], str | None]]] = {
    Kind.TEXT: _text_fault,
    Kind.ID_NUMBER: _id_number_fault,
    Kind.DATE: _date_fault,
    Kind.CHOICE: _choice_fault,
    Kind.MONEY: _money_fault,
    Kind.PHONE: _phone_fault,
    Kind.POSTCODE: _postcode_fault,
}


def _born(id_number: str) -> date | None:
    """Return the birth date inside an ID number (digits 7 to 14), None if there is no such day."""
    try:
        return date(int(id_number[6:10]), int(id_number[10:12]), int(id_number[12:14]))
    except ValueError:
        return None


def _check_identity(values: Mapping[str, str], dates: dict[str, date], faults: Faults) -> None:
    if "AAC002" in faults or not values.get("AAC002"):
        return
    id_number = values["AAC002"]
    birth = dates.get("AAC006")
    if birth is not None and birth != _born(id_number):
        faults["AAC006"] = "出生日期与公民身份号码不一致。"
    # GB 11643-1999 §4.3: the sequence code is odd for men, even for women.
    sex = _MALE if int(id_number[16]) % 2 else _FEMALE
    if "AAC004" not in faults and values["AAC004"] != sex:
        faults["AAC004"] = "性别与公民身份号码不一致。"


def _check_dates(dates: dict[str, date], rules: Enrolment, today: date, faults: Faults) -> None:
    birth, work, enrolled = dates.get("AAC006"), dates.get("AAC007"), dates.get("AAC030")
    filed = dates.get("BIC701")
    if filed and filed > today:
        faults["BIC701"] = "档案出生日期不能晚于今天。"
    if birth and birth > today:
        faults.setdefault("AAC006", "出生日期不能晚于今天。")
    elif birth and age_on(birth, enrolled or today) < rules.minimum_age:
        faults.setdefault("AAC006", f"参保时未满 {rules.minimum_age} 周岁，不能参保。")
    if work and birth and work <= birth:
        faults["AAC007"] = "参加工作日期须晚于出生日期。"
    elif work and enrolled and work >= enrolled:
        faults["AAC007"] = "参加工作日期须早于参保日期。"
    if enrolled:
        back = months_between(enrolled, today)
        if back < 0:
            faults["AAC030"] = f"参保日期不能晚于本月（{today:%Y-%m}）。"
        elif back > rules.months_back:
            faults["AAC030"] = (
                f"参保日期只能在本月（{today:%Y-%m}）或之前 {rules.months_back} 个月内，"
                "更早的请办理滞后补收。"
            )


def _check_wage(values: Mapping[str, str], rules: Enrolment, faults: Faults) -> None:
    if "AAC040" in faults or not values.get("AAC040"):
        return
    try:
        wage = Decimal(values["AAC040"])
    except InvalidOperation:
        faults["AAC040"] = "申报工资须为数字。"
        return
    if not rules.wage_floor <= wage <= rules.wage_ceiling:
        faults["AAC040"] = (
            f"申报工资须在 {rules.wage_floor:,.2f} 元至 {rules.wage_ceiling:,.2f} 元之间"
            f"（月平均工资的 {rules.floor_percent}% 至 {rules.ceiling_percent}%）。"
        )


def _check_farmer(values: Mapping[str, str], rules: Enrolment, faults: Faults) -> None:
    status, rate = values.get("AAC012"), values.get("AAA040")
    if not status or not rate or {"AAC012", "AAA040"} & faults.keys():
        return
    if (status == rules.farmer_status) != (rate == rules.farmer_rate):
        faults["AAA040"] = (
            "个人身份为农民合同制工人的，缴费比例类别须同为农民合同制工人，反之亦然。"
        )

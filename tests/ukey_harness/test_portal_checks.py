"""The rules of 人员参保登记: what a person's data must be, each fault at its field."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukey_harness.world.portal.enrolment import fields as fields_module
from ukey_harness.world.portal.enrolment.checks import (
    age_on,
    check_person,
    id_check_character,
    months_between,
    normalise,
)
from ukey_harness.world.portal.enrolment.examples import example_id_number, example_person
from ukey_harness.world.portal.enrolment.fields import FieldsError, enrolment, parse

TODAY = date(2026, 3, 15)
RULES = enrolment()
BIRTH = date(1991, 7, 29)
GOOD = example_person(200, TODAY)


def faults(**changes: str) -> dict[str, str]:
    return check_person(normalise(GOOD | changes, RULES), RULES, TODAY)


def test_the_example_of_the_standard() -> None:
    # GB 11643-1999, annex: 11010519491231002X and 440524188001010014
    assert id_check_character("11010519491231002") == "X"
    assert id_check_character("44052418800101001") == "4"


@given(st.integers(0, 16), st.integers(1, 9), st.dates(date(1900, 1, 1)), st.integers(0, 999))
def test_one_wrong_digit_is_always_noticed(
    place: int, step: int, birth: date, sequence: int
) -> None:
    number = example_id_number(birth, sequence)
    digit = str((int(number[place]) + step) % 10)
    wrong = number[:place] + digit + number[place + 1 :]
    assert id_check_character(wrong[:17]) != wrong[17]


@given(st.integers(0, 200_000), st.dates(date(2020, 1, 1), date(2040, 12, 31)))
def test_example_persons_are_good(n: int, today: date) -> None:
    assert check_person(normalise(example_person(n, today), RULES), RULES, today) == {}


def test_example_persons_are_all_different() -> None:
    numbers = {example_person(n, TODAY)["AAC002"] for n in range(20_000)}
    assert len(numbers) == 20_000


@given(st.dictionaries(st.sampled_from([f.code for f in RULES.fields]), st.text(max_size=40)))
def test_whatever_is_entered_gets_an_answer(told: dict[str, str]) -> None:
    values = normalise(told, RULES)
    found = check_person(values, RULES, TODAY)
    assert set(found) >= {f.code for f in RULES.fields if f.required and not values[f.code]}
    assert all(sentence.endswith("。") for sentence in found.values())


@pytest.mark.parametrize(
    ("code", "value", "words"),
    [
        ("AAC002", "", "请填写公民身份号码"),
        ("AAC002", "99000119910729", "18 位"),
        ("AAC002", "99000119910729200A", "18 位"),
        ("AAC002", "９90001199107292007", "18 位"),
        ("AAC002", "990001199113292007", "出生日期不存在"),
        ("AAC002", "990001199102302007", "出生日期不存在"),
        ("AAC003", "", "请填写姓名"),
        ("AAC003", "<b>", "汉字"),
        ("AAC003", "张" * 21, "最多 20 个字"),
        ("AAC004", "", "请选择性别"),
        ("AAC004", "3", "可选范围"),
        ("AAC006", "1991-7-29", "有效日期"),
        ("AAC006", "1991-02-30", "有效日期"),
        ("AAC006", "1899-12-31", "过早"),
        ("AAC006", "1991-07-30", "与公民身份号码不一致"),
        ("BIC701", "2026-03-16", "不能晚于今天"),
        ("AAC005", "57", "可选范围"),
        ("AAC007", "1991-07-29", "晚于出生日期"),
        ("AAC007", "2026-03-01", "早于参保日期"),
        ("AAC030", "2026-04-01", "不能晚于本月"),
        ("AAC030", "2025-12-31", "2 个月内"),
        ("AAC040", "abc", "数字"),
        ("AAC040", "5000.001", "数字"),
        ("AAC040", "-5000", "数字"),
        ("AAC040", "1e4", "数字"),
        ("AAC040", "3899.99", "3,900.00"),
        ("AAC040", "19500.01", "19,500.00"),
        ("AAE005", "12345", "手机号"),
        ("AAE005", "12900000000", "手机号"),
        ("AAE007", "05000", "6 位"),
        ("AAE013", "x" * 51, "最多 50 个字"),
        ("AAE006", "a\u202eb", "不能显示"),
    ],
)
def test_each_fault_has_its_sentence(code: str, value: str, words: str) -> None:
    found = faults(**{code: value})
    assert words in found[code]


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("AAC040", "3900"),
        ("AAC040", "19500.00"),
        ("AAC030", "2026-03-31"),
        ("AAE005", "0311-12345678"),
        ("AAE005", "010-12345678-123"),
        ("AAE005", ""),
        ("AAC003", "阿卜杜拉·买买提"),
        ("AAC003", "Anna Müller".replace("ü", "u")),
        ("AAC003", " 张三 "),
        ("AAC002", GOOD["AAC002"].lower()),
    ],
)
def test_what_is_right_passes(code: str, value: str) -> None:
    expected = {"AAE005"} if (code, value) == ("AAE005", "") else set()
    assert set(faults(**{code: value})) == expected


def test_two_months_back_are_allowed() -> None:
    assert faults(AAC030="2026-01-31", AAC007="2026-01-30") == {}


def test_sex_must_fit_the_id_number() -> None:
    wrong = "1" if GOOD["AAC004"] == "2" else "2"
    assert "与公民身份号码不一致" in faults(AAC004=wrong)["AAC004"]


@pytest.mark.parametrize(("birth", "allowed"), [("2010-03-01", True), ("2010-03-02", False)])
def test_sixteen_years_on_the_day_of_enrolment(birth: str, allowed: bool) -> None:
    number = example_id_number(date.fromisoformat(birth), 2)
    changes = {"AAC002": number, "AAC006": birth, "BIC701": birth, "AAC004": "2"}
    found = faults(**changes)
    assert ("AAC006" in found) != allowed
    if not allowed:
        assert "16 周岁" in found["AAC006"]


@pytest.mark.parametrize(
    ("status", "rate", "allowed"),
    [("30", "20", True), ("20", "10", True), ("30", "10", False), ("10", "20", False)],
)
def test_farmers_and_their_rate_go_together(status: str, rate: str, allowed: bool) -> None:
    assert ("AAA040" in faults(AAC012=status, AAA040=rate)) != allowed


def test_ages_and_months() -> None:
    assert age_on(date(2000, 2, 29), date(2016, 2, 28)) == 15
    assert age_on(date(2000, 2, 29), date(2016, 2, 29)) == 16
    assert months_between(date(2025, 12, 31), date(2026, 1, 1)) == 1
    assert months_between(date(2026, 1, 1), date(2025, 12, 31)) == -1


def test_the_wage_limits_come_from_the_file() -> None:
    assert (RULES.wage_floor, RULES.wage_ceiling) == (
        RULES.average_wage * Decimal("0.6"),
        RULES.average_wage * 3,
    )


SHIPPED = (
    resources.files(fields_module.__package__).joinpath("fields.toml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize(
    ("found", "put", "words"),
    [
        ("[limits]", "[limits", "not TOML"),
        ("average_wage", "average", "average_wage"),
        ('"6500.00"', '"much"', "not a number"),
        ('kind = "id_number"', 'kind = "number"', "AAC002"),
        ('kind = "money"', 'kind = "choice"', "AAC040"),
        ('code = "AAC003"', 'code = "AAC002"', "twice"),
        ('code = "AAC030"', 'code = "AAC999"', "AAC030"),
        ('label = "姓名"', 'label = "姓名"\nlabl = "x"', "AAC003"),
    ],
)
def test_a_wrong_fields_file_is_told(found: str, put: str, words: str) -> None:
    assert found in SHIPPED
    with pytest.raises(FieldsError, match=words):
        parse(SHIPPED.replace(found, put, 1))

"""Units and the clock: the rules of the identifiers, and time that can be turned."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ukey_harness.world.clock import Clock
from ukey_harness.world.units import (
    Unit,
    UnitError,
    credit_code_check,
    organisation_code_check,
)


def test_check_characters_are_those_of_the_standards_examples() -> None:
    # The examples that GB 32100-2015 and GB 11714-1997 themselves print.
    assert credit_code_check("91350100M000100Y4") == "3"
    assert organisation_code_check("D2143569") == "X"


def test_examples_are_distinct_and_right_in_both_check_characters() -> None:
    units = [Unit.example(n) for n in range(200)]
    assert len({unit.identifier for unit in units}) == 200
    assert len({unit.name for unit in units}) == 200
    assert len({unit.number for unit in units}) == 200
    for unit in units:
        assert credit_code_check(unit.identifier[:17]) == unit.identifier[17]
        assert organisation_code_check(unit.identifier[8:16]) == unit.identifier[16]


def test_no_example_is_of_an_area_that_exists() -> None:
    # GB/T 2260: the provinces' codes lie between 11 and 82.
    assert Unit.example(7).identifier[2:4] == "99"


@pytest.mark.parametrize("n", [-1, 1_000_000])
def test_example_out_of_range_is_refused(n: int) -> None:
    with pytest.raises(UnitError, match="999999"):
        Unit.example(n)


def test_wrong_check_character_is_named_with_the_right_one() -> None:
    right = Unit.example(0).identifier
    wrong = right[:17] + ("0" if right[17] != "0" else "1")
    with pytest.raises(UnitError, match=f"the check character is {right[17]}"):
        Unit("甲公司", wrong, "1")


@pytest.mark.parametrize(
    ("name", "number"), [("", "1"), ("甲" * 65, "1"), ("甲\n乙", "1"), ("甲公司", "A1"), ("甲", "")]
)
def test_malformed_names_and_numbers_are_refused(name: str, number: str) -> None:
    with pytest.raises(UnitError):
        Unit(name, Unit.example(0).identifier, number)


@pytest.mark.parametrize("body", ["9199000", "91990001TE000000I", "91990001te0000002"])
def test_malformed_identifiers_are_refused(body: str) -> None:
    with pytest.raises(UnitError, match="统一社会信用代码"):
        credit_code_check(body)


def test_clock_shows_the_machines_time_in_whole_seconds() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    now = Clock().now()
    assert before <= now <= datetime.now(UTC)
    assert now.microsecond == 0
    assert now.tzinfo is UTC


def test_clock_is_turned_and_runs_on() -> None:
    clock = Clock()
    clock.set(datetime(2031, 5, 6, 8, tzinfo=timezone(timedelta(hours=8))))
    assert timedelta(0) <= clock.now() - datetime(2031, 5, 6, tzinfo=UTC) < timedelta(seconds=5)
    clock.advance(timedelta(days=-366))
    assert clock.now().date() == datetime(2030, 5, 5, tzinfo=UTC).date()
    assert abs(clock.reset() - datetime.now(UTC)) < timedelta(seconds=5)


def test_clock_refuses_a_time_without_zone() -> None:
    with pytest.raises(ValueError, match="tzinfo=UTC"):
        Clock().set(datetime(2031, 5, 6))  # noqa: DTZ001

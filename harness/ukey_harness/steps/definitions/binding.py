# ruff: noqa: D401 - a step's docstring says what is done or seen, as its words do
"""Steps about binding the certificate to the unit's old account."""

from ukey_harness.steps.grammar import then, when
from ukey_harness.steps.stage import PASSWORD, Stage
from ukey_harness.steps.workplace import Outcome
from ukey_harness.verdicts.unmet import demand

WRONG_PASSWORD = "wrong-password"  # noqa: S105 - not the account's


@when("单位用老账号和密码绑定")
def bind(stage: Stage) -> None:
    """`ukey bind` with the account's password."""
    _bind(stage, stage.user, PASSWORD)


@when("单位用老账号和错误的密码绑定")
def bind_with_wrong_password(stage: Stage) -> None:
    """`ukey bind` with another password."""
    _bind(stage, stage.user, WRONG_PASSWORD)


@when("单位用老账号和错误的密码绑定，一连五次")
def bind_with_wrong_password_five_times(stage: Stage) -> None:
    """Until the portal locks the account."""
    for _ in range(5):
        outcome = _bind(stage, stage.user, WRONG_PASSWORD)
        demand(outcome.code != 0, "密码错误，绑定被拒绝", "绑定成功", outcome.said)


@when("单位用别的单位的老账号绑定")
def bind_another_units_account(stage: Stage) -> None:
    """The account is right, and of another unit."""
    other = stage.worlds.next_unit()
    user = f"dw{other.number}"
    stage.world.add_account(user, PASSWORD, other)
    _bind(stage, user, PASSWORD)


@then("绑定成功")
def bound(stage: Stage) -> None:
    """The portal has bound the unit, and says which."""
    outcome = stage.outcome
    good = outcome.code == 0 and f"绑定成功：{stage.unit.name}" in outcome.out
    demand(good, f"绑定成功：{stage.unit.name}", f"退出码 {outcome.code}", outcome.said)
    # The browser of a holder who has just bound goes on from here.
    stage.browser.take_over()


def _bind(stage: Stage, user: str, password: str) -> Outcome:
    return stage.ukey("bind", "--user", user, "--password-file", "-", typed=f"{password}\n")

# ruff: noqa: D401 - a step's docstring says what is done or seen, as its words do
"""Steps about changing the PIN."""

from ukey_harness.steps.definitions.portal import other, wrong
from ukey_harness.steps.grammar import then, when
from ukey_harness.steps.stage import Stage
from ukey_harness.steps.workplace import Outcome
from ukey_harness.verdicts.unmet import demand


@when("单位把证书口令改成新口令")
def change(stage: Stage) -> None:
    """`ukey pin change`: the old one, then the new one."""
    new_pin = other(stage.device.pin)
    outcome = _change(stage, stage.device.pin, new_pin)
    if outcome.code == 0:
        stage.memory["new_pin"] = new_pin


@then("口令修改成功")
def changed(stage: Stage) -> None:
    """The client says so."""
    outcome = stage.outcome
    good = outcome.code == 0 and "修改成功" in outcome.out
    demand(good, "证书口令修改成功", f"退出码 {outcome.code}", outcome.said)


@when("单位改口令时把旧口令输错")
def change_with_wrong_old(stage: Stage) -> None:
    """The old PIN is wrong."""
    _change(stage, wrong(stage.device.pin), other(stage.device.pin))


@when("单位想把口令改成一位数")
def change_to_short(stage: Stage) -> None:
    """A PIN that is shorter than any key allows."""
    _change(stage, stage.device.pin, "7")


@when("单位想把口令改成原来的口令")
def change_to_same(stage: Stage) -> None:
    """No change at all."""
    _change(stage, stage.device.pin, stage.device.pin)


@then("直接调用 C_Login 时旧口令返回「{rv}」")
def raw_old_pin(stage: Stage, rv: str) -> None:
    """The PKCS#11 interface itself, without the client."""
    _raw_login(stage, stage.device.pin, rv)


@then("直接调用 C_Login 时新口令返回「{rv}」")
def raw_new_pin(stage: Stage, rv: str) -> None:
    """The PKCS#11 interface itself, without the client."""
    _raw_login(stage, stage.memory["new_pin"], rv)


@then("用旧口令不能签章")
def old_pin_does_not_seal(stage: Stage) -> None:
    """`ukey seal` with the old PIN."""
    from ukey_harness.steps.documents import plain_pdf  # noqa: PLC0415 - draws with a heavy library

    document = stage.file("old-pin.pdf")
    document.write_bytes(plain_pdf("旧口令"))
    _refused(stage, stage.ukey("seal", str(document), "--pin-file", "-", typed=_typed(stage)))


@then("用旧口令不能延期")
def old_pin_does_not_renew(stage: Stage) -> None:
    """`ukey renew` with the old PIN."""
    _refused(stage, stage.ukey("renew", "--pin-file", "-", typed=_typed(stage)))


@then("用旧口令不能再改口令")
def old_pin_does_not_change_pin(stage: Stage) -> None:
    """`ukey pin change` with the old PIN."""
    _refused(stage, _change(stage, stage.device.pin, wrong(stage.device.pin)))


def _change(stage: Stage, old: str, new: str) -> Outcome:
    return stage.ukey(
        "pin", "change", "--pin-file", "-", "--new-pin-file", "-", typed=f"{old}\n{new}\n"
    )


def _typed(stage: Stage) -> str:
    return f"{stage.device.pin}\n"


def _refused(stage: Stage, outcome: Outcome) -> None:
    good = outcome.code == 5 and "证书口令错误" in outcome.fault  # noqa: PLR2004 - the PIN's exit code
    demand(good, "退出码 5，提示“证书口令错误”", f"退出码 {outcome.code}", outcome.said)
    # A wrong PIN has been spent; the right one gives the tries back for the next step.
    stage.device.ask("login", user="user", pin=stage.memory["new_pin"])


def _raw_login(stage: Stage, pin: str, rv: str) -> None:
    seen = stage.device.ask("login", user="user", pin=pin)["rv"]
    demand(seen == rv, rv, seen)

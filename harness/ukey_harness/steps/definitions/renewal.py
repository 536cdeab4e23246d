# ruff: noqa: D401 - a step's docstring says what is done or seen, as its words do
"""Steps about renewing the certificate, and about breaks in the middle of it."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_harness.device.capability import GENERATING, PLUGGING
from ukey_harness.steps.definitions.key import certificates
from ukey_harness.steps.definitions.portal import log_in_with, login_succeeded, wrong
from ukey_harness.steps.gate import CutOff, Gate, Hook
from ukey_harness.steps.grammar import given, then, when
from ukey_harness.steps.stage import Stage, StageError
from ukey_harness.verdicts.unmet import demand

# Which exchange of the renewal (1: kur and kup, 2: certConf and pkiConf; RFC 9483 §4.1), and
# whether it breaks on the way there or on the way back.
MOMENTS = {
    "申请送达之前": (1, "before"),
    "新证书送回的路上": (1, "after"),
    "确认送达之前": (2, "before"),
    "确认的回执送回的路上": (2, "after"),
}
_GENERATION = {"C_GenerateKeyPair", "GENERATE ASYMMETRIC KEY PAIR"}


@when("单位用口令办理延期", needs={GENERATING})
def renew(stage: Stage) -> None:
    """`ukey renew`."""
    _renew(stage, stage.memory.get("new_pin", stage.device.pin))


@when("单位用错误的口令办理延期")
def renew_with_wrong_pin(stage: Stage) -> None:
    """`ukey renew` with a wrong PIN."""
    _renew(stage, wrong(stage.device.pin))


@then("延期成功")
def renewed(stage: Stage) -> None:
    """The client says so."""
    outcome = stage.outcome
    good = outcome.code == 0 and f"延期成功：{stage.unit.name}" in outcome.out
    demand(good, f"延期成功：{stage.unit.name}", f"退出码 {outcome.code}", outcome.said)


@then("钥匙里只有一张证书，序列号是新的，有效期更长")
def only_the_new_one(stage: Stage) -> None:
    """The old one has gone; the new one is another and lasts longer."""
    old = _old(stage)
    stage.ukey("certs", "--json")
    listed = certificates(stage)
    demand(len(listed) == 1, "一张证书", [each["serial"] for each in listed])
    one = listed[0]
    stage.memory["renewed"] = one
    stage.note(f"旧证书至 {old.not_valid_after_utc:%Y-%m-%d}，新证书至 {one['not_after'][:10]}")
    demand(int(one["serial"], 16) != old.serial_number, "新的序列号", one["serial"])
    longer = one["not_after"] > old.not_valid_after_utc.isoformat()
    demand(longer, f"晚于 {old.not_valid_after_utc.isoformat()}", one["not_after"])


@then("新证书的密钥是新的，在钥匙里生成")
def key_is_new(stage: Stage) -> None:
    """Another public key, and the key was told to make it."""
    entry = stage.world.ca.register.find(int(stage.memory["renewed"]["serial"], 16))
    if entry is None:
        raise StageError("the CA does not know the renewed certificate")
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    old_key = _old(stage).public_key().public_bytes(*form)
    new_key = entry.certificate.public_key().public_bytes(*form)
    demand(old_key != new_key, "另一个公钥", "同一个公钥")
    if not stage.device.shortfalls:
        names = {call.function for call in stage.device.history}
        demand(names & _GENERATION, "调用过 C_GenerateKeyPair 或同类命令", sorted(names))


@then("钥匙里还是原来的证书")
def old_one_is_there(stage: Stage) -> None:
    """Nothing has changed on the key."""
    old = _old(stage)
    stage.ukey("certs", "--json")
    serials = [int(each["serial"], 16) for each in certificates(stage)]
    demand(serials == [old.serial_number], [old.serial_number], serials)


@then("原来的证书仍能登录")
@then("钥匙里有证书能登录")
def still_logs_in(stage: Stage) -> None:
    """A login without any binding: the holder can go on working."""
    log_in_with(stage, stage.device.pin)
    login_succeeded(stage)


@then("延期没有成功，也没有损坏钥匙")
def not_renewed(stage: Stage) -> None:
    """A message and an exit code; the next steps look at the key."""
    outcome = stage.outcome
    demand(outcome.code not in {0, 1}, "提示后退出", f"退出码 {outcome.code}", outcome.said)


@given("延期会在{moment}断网")
def network_breaks(stage: Stage, moment: str) -> None:
    """The line to the CA is cut there."""

    def cut() -> None:
        raise CutOff

    _break_at(stage, moment, cut)


@given("延期会在{moment}断电")
def power_breaks(stage: Stage, moment: str) -> None:
    """The program is killed there."""

    def cut() -> None:
        with suppress(ProcessLookupError):
            os.kill(stage.memory["renewal_pid"], signal.SIGKILL)
        raise CutOff

    stage.memory["power_cut"] = True
    _break_at(stage, moment, cut)


@given("延期会在{moment}拔出钥匙", needs={PLUGGING})
def key_goes(stage: Stage, moment: str) -> None:
    """The key is taken out there; the line stays."""
    _break_at(stage, moment, stage.device.take_out)


@when("网络恢复")
def network_back(stage: Stage) -> None:
    """The CA is reached without the gate again."""
    stage.settings.pop("UKEY_CA", None)


def _break_at(stage: Stage, moment: str, act: Callable[[], None]) -> None:
    exchange, side = MOMENTS[moment]

    def hook(number: int) -> None:
        if number == exchange:
            stage.memory["broken"] = True
            act()

    hooks: dict[str, Hook] = {side: hook}
    gate = stage.closing.enter_context(Gate(stage.world.ca_url, **hooks))
    stage.settings["UKEY_CA"] = gate.url
    stage.memory["gate"] = gate


def _renew(stage: Stage, pin: str) -> None:
    cut = bool(stage.memory.pop("power_cut", False))
    gate: Gate | None = stage.memory.pop("gate", None)
    program = stage.start_ukey("renew", "--pin-file", "-")
    stage.memory["renewal_pid"] = program.pid
    program.stdin.write(f"{pin}\n".encode())
    stage.finish(program, cut=cut)
    if gate is not None:
        # One break for each scenario: what comes after goes straight to the CA.
        network_back(stage)
        if gate.failures:
            raise StageError(f"the break could not be made: {gate.failures[0]}")
        demand(stage.memory.get("broken"), "在说好的时候中断", "没有走到那一步", stage.outcome.said)


def _old(stage: Stage) -> x509.Certificate:
    certificate = stage.certificate
    if certificate is None:
        raise StageError("no certificate was provisioned")
    return certificate

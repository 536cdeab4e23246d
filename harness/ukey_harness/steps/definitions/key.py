# ruff: noqa: D401 - a step's docstring says what is done or seen, as its words do
"""Steps about the key itself: what the counter puts on it, plugging, what lies on it."""

import json
from datetime import timedelta
from typing import Any

from ukey_harness.device.capability import ERASING, PLUGGING
from ukey_harness.steps.grammar import given, then, when
from ukey_harness.steps.stage import PASSWORD, Stage
from ukey_harness.verdicts.unmet import Unmet, demand

# Calls that carry a PIN. An empty VERIFY only asks: it bears another name.
_WITH_PIN = {"C_Login", "C_SetPIN", "VERIFY", "CHANGE REFERENCE DATA"}


@given("柜台给单位办好了一把钥匙", needs={ERASING})
def provisioned(stage: Stage) -> None:
    """Certificate and seal on a fresh key; the unit has had an account at the portal before."""
    stage.world.add_account(stage.user, PASSWORD, stage.unit)
    stage.certificate = stage.provision()
    stage.note(
        f"{stage.unit.name}，统一社会信用代码 {stage.unit.identifier}，"
        f"证书序列号 {stage.certificate.serial_number:X}"
    )


@given("柜台给单位换了一张 {kind} 密钥的证书", needs={ERASING})
def provisioned_with(stage: Stage, kind: str) -> None:
    """A fresh key whose certificate has another kind of key pair."""
    stage.device.fresh()
    stage.certificate = stage.provision(key=kind)


@when("单位换了一把新钥匙，柜台重新办了证书", needs={ERASING})
def provisioned_anew(stage: Stage) -> None:
    """Another key, the same unit."""
    stage.device.fresh()
    stage.earlier_certificate = stage.certificate
    stage.certificate = stage.provision()


@given("钥匙里的证书已经过期", needs={ERASING})
def expired(stage: Stage) -> None:
    """A fresh key whose certificate ended a month ago."""
    stage.device.fresh()
    begin = stage.world.clock.now() - timedelta(days=395)
    stage.certificate = stage.provision(not_before=begin)


@given("钥匙里的证书明天才生效", needs={ERASING})
def not_yet_valid(stage: Stage) -> None:
    """A fresh key whose certificate begins tomorrow."""
    stage.device.fresh()
    begin = stage.world.clock.now() + timedelta(days=1)
    stage.certificate = stage.provision(not_before=begin)


@given("证书机构吊销了这张证书")
def revoked(stage: Stage) -> None:
    """The CA revokes what is on the key."""
    certificate = stage.certificate
    if certificate is None:
        raise Unmet("钥匙里有证书", "还没有办证")
    stage.world.ca.revoke(certificate.serial_number, "keyCompromise")


@given("钥匙没有插着", needs={PLUGGING})
def taken_out(stage: Stage) -> None:
    """The key is out."""
    stage.device.take_out()


@when("单位插上钥匙", needs={PLUGGING})
def plugged_in(stage: Stage) -> None:
    """The key is put back in."""
    stage.device.plug_in()


@when("单位拔出钥匙又插上", needs={PLUGGING})
def replugged(stage: Stage) -> None:
    """Out and in again."""
    stage.device.take_out()
    stage.device.plug_in()


@when("单位查看钥匙里的证书")
def look_at_certificates(stage: Stage) -> None:
    """`ukey certs`: as a table for the holder, as JSON for us."""
    stage.ukey("certs")
    stage.memory["table"] = stage.outcome.out
    stage.ukey("certs", "--json")


@then("列出一张证书，写着单位名称、颁发者、序列号和有效期")
def certificate_is_listed(stage: Stage) -> None:
    """Both forms show the certificate that the counter has issued."""
    certificate = stage.certificate
    if certificate is None:
        raise Unmet("钥匙里有证书", "还没有办证")
    listed = certificates(stage)
    demand(len(listed) == 1, "一张证书", f"{len(listed)} 张")
    one = listed[0]
    expected = {
        "owner": stage.unit.name,
        "serial": _hexadecimal(certificate.serial_number),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
    }
    shown = {name: one[name] for name in expected}
    demand(shown == expected, expected, shown)
    demand(one["issuer"], "写着颁发者", "没有写")
    table = "".join(stage.memory["table"].split())
    # The table wraps long words; a person puts them together again.
    demand("我的证书" in table, "有“我的证书”表格", stage.memory["table"])


@then("证书中的单位标识是本单位的统一社会信用代码")
def identifier_is_the_units(stage: Stage) -> None:
    """The extension that the portal binds to."""
    shown = certificates(stage)[0]["unit_identifier"]
    demand(shown == stage.unit.identifier, stage.unit.identifier, shown)


@then("钥匙里的证书和印章都还在")
def all_is_there(stage: Stage) -> None:
    """Certificate, key and seal have survived: the key still seals."""
    stage.ukey("certs", "--json")
    serials = [one["serial"] for one in certificates(stage)]
    wanted = "" if stage.certificate is None else _hexadecimal(stage.certificate.serial_number)
    demand(serials == [wanted], [wanted], serials)
    sealed_by_key(stage)


@then("钥匙里的印章还在")
def seal_is_there(stage: Stage) -> None:
    """The seal's picture lies on the key, and the key seals with it."""
    sealed_by_key(stage)


@then("钥匙没有签过名")
def nothing_signed(stage: Stage) -> None:
    """The last command has not had the key sign."""
    signed = [
        name
        for name in stage.calls_of_last()
        if name.startswith("C_Sign") or name == "GENERAL AUTHENTICATE"
    ]
    demand(not signed, "没有 C_Sign 和 GENERAL AUTHENTICATE", signed)


@then("没有给钥匙送过口令")
def no_pin_sent(stage: Stage) -> None:
    """The last command has not spent a try of the PIN."""
    sent = [name for name in stage.calls_of_last() if name in _WITH_PIN]
    demand(not sent, f"没有 {'、'.join(sorted(_WITH_PIN))}", sent)


def certificates(stage: Stage) -> list[dict[str, Any]]:
    """Return what the last `ukey certs --json` has listed."""
    demand(stage.outcome.code == 0, "退出码 0", stage.outcome.code, stage.outcome.said)
    found: list[dict[str, Any]] = json.loads(stage.outcome.out)
    return found


def sealed_by_key(stage: Stage) -> None:
    """Seal a small PDF with the key, as proof that key, certificate and seal are whole."""
    from ukey_harness.steps.documents import plain_pdf  # noqa: PLC0415 - draws with a heavy library

    document = stage.file("proof.pdf")
    document.write_bytes(plain_pdf("印章还在"))
    output = stage.file("proof-sealed.pdf")
    output.unlink(missing_ok=True)
    pin = stage.memory.get("new_pin", stage.device.pin)
    done = stage.ukey("seal", str(document), "-o", str(output), "--pin-file", "-", typed=f"{pin}\n")
    demand(done.code == 0, "能签章", f"退出码 {done.code}", done.said)


def _hexadecimal(serial: int) -> str:
    text = f"{serial:X}"
    return text.zfill(len(text) + len(text) % 2)

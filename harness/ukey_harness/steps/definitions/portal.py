# ruff: noqa: D401 - a step's docstring says what is done or seen, as its words do
"""Steps about logging in, and what can go wrong on the way."""

import base64
import time
from datetime import timedelta

from ukey_harness.device.capability import DRIVER, LOCKING, PLUGGING, TRIES, UNBLOCKING
from ukey_harness.steps.gate import Gate
from ukey_harness.steps.grammar import given, then, when
from ukey_harness.steps.pinbox import PinBox
from ukey_harness.steps.stage import PASSWORD, Stage
from ukey_harness.steps.workplace import Outcome
from ukey_harness.verdicts.unmet import Unmet, demand

MOST_TRIES = 20
LAST_CHANCE = "仅剩最后一次机会"
LOCKED = "已锁定"


@when("单位打开网报系统首页")
def open_home(stage: Stage) -> None:
    """The portal's first page."""
    stage.memory["page"] = stage.browser.open("/")


@then("页面上有入口「{words}」")
def page_has_link(stage: Stage, words: str) -> None:
    """A link with these words, which leads somewhere."""
    page = stage.memory["page"]
    demand(page.has_link(words), f"有入口“{words}”", [link.text for link in page.links])
    target = next(link.href for link in page.links if link.text == words)
    status = stage.browser.open(target).status
    demand(status == 200, f"{target} 打得开", status)  # noqa: PLR2004 - HTTP


@when("单位用证书口令登录")
def log_in(stage: Stage) -> None:
    """`ukey login` with the key's PIN."""
    log_in_with(stage, stage.memory.get("new_pin", stage.device.pin))


@when("单位用旧口令登录")
def log_in_with_old_pin(stage: Stage) -> None:
    """`ukey login` with the PIN that was before the change."""
    log_in_with(stage, stage.device.pin)


@when("单位用新口令登录")
def log_in_with_new_pin(stage: Stage) -> None:
    """`ukey login` with the PIN that was set."""
    log_in_with(stage, stage.memory["new_pin"])


@when("单位用错误的口令登录")
def log_in_with_wrong_pin(stage: Stage) -> None:
    """`ukey login` with a PIN that is not the key's."""
    log_in_with(stage, wrong(stage.device.pin))


@given("单位连续输错口令，只剩一次机会", needs={LOCKING})
@when("单位连续输错口令，直到只剩一次机会", needs={LOCKING})
def until_last_try(stage: Stage) -> None:
    """Wrong PINs until the client warns of the last try."""
    _enter_wrong_until(stage, LAST_CHANCE)


@given("单位连续输错口令，钥匙已经锁定", needs={LOCKING})
@when("单位连续输错口令，直到钥匙锁定", needs={LOCKING})
def until_locked(stage: Stage) -> None:
    """Wrong PINs until the key is locked."""
    _enter_wrong_until(stage, LOCKED)


@when("柜台给钥匙解锁，换了新口令", needs={UNBLOCKING})
def unblocked(stage: Stage) -> None:
    """The counter sets a new user PIN with the SO PIN (C_InitPIN)."""
    new_pin = other(stage.device.pin)
    stage.device.unblock(new_pin)
    stage.memory["new_pin"] = new_pin


@given("单位已经用证书登录")
def logged_in_once(stage: Stage) -> None:
    """Logged in, not yet bound."""
    log_in_with(stage, stage.device.pin)
    bind_is_asked(stage)


@given("证书已经绑定老账号")
def bound(stage: Stage) -> None:
    """Logged in and bound, as after the first day."""
    logged_in_once(stage)
    done = stage.ukey("bind", "--user", stage.user, "--password-file", "-", typed=f"{PASSWORD}\n")
    demand(done.code == 0, "绑定成功", f"退出码 {done.code}", done.said)


@given("单位已经登录网报系统")
def logged_in(stage: Stage) -> None:
    """Logged in, in the browser as well."""
    log_in_with(stage, stage.device.pin)
    login_succeeded(stage)
    stage.browser.take_over()


@then("网报系统认出本单位，要求先绑定老账号")
def bind_is_asked(stage: Stage) -> None:
    """The first login of a unit."""
    said = stage.outcome.said
    good = stage.outcome.code == 0 and stage.unit.name in said and "绑定" in said
    demand(good, f"“{stage.unit.name}”，需要绑定", f"退出码 {stage.outcome.code}", said)


@then("登录成功")
def login_succeeded(stage: Stage) -> None:
    """A login that needs nothing more."""
    said = stage.outcome.said
    good = stage.outcome.code == 0 and f"登录成功：{stage.unit.name}" in said
    demand(good, f"登录成功：{stage.unit.name}", f"退出码 {stage.outcome.code}", said)


@then("登录前显示了要签名的文字，其中写着网报系统的网址")
def challenge_was_shown(stage: Stage) -> None:
    """The holder sees what is signed."""
    wanted = f"origin: {stage.world.portal_url}"
    demand(wanted in stage.outcome.err, wanted, stage.outcome.err)


@then("单位可以打开业务「{words}」")
def business_can_be_used(stage: Stage, words: str) -> None:
    """The browser goes on with the login, and the business pages answer."""
    stage.browser.take_over()
    page = stage.browser.open("/business")
    demand(words in page.text and page.status == 200, f"业务页上有“{words}”", page.text)  # noqa: PLR2004
    page = stage.browser.open("/business/enrolment")
    demand("本月业务提交" in page.text, "打得开“本月业务提交”", page.text)


@when("单位不登录就打开业务页面")
def open_business_without_login(stage: Stage) -> None:
    """A browser without a session."""
    stage.memory["page"] = stage.browser.open("/business/enrolment/month")


@then("网报系统要求先登录")
def login_is_asked(stage: Stage) -> None:
    """The login page is shown instead."""
    page = stage.memory["page"]
    good = page.url.startswith(f"{stage.world.portal_url}/login") and "请先登录" in page.text
    demand(good, "登录页，提示“请先登录”", f"{page.url} {page.text}")


@then("被拒绝，退出码 {code:d}，提示「{words}」")
def refused(stage: Stage, code: int, words: str) -> None:
    """A clear message, the right exit code, no traceback (the stage looks after that)."""
    outcome = stage.outcome
    good = outcome.code == code and words in outcome.fault
    demand(
        good,
        f"退出码 {code}，提示里有“{words}”",
        f"退出码 {outcome.code}，提示是“{outcome.fault}”",
    )


@then("被拒绝，退出码 {code:d}，提示剩余次数比原来少一次", needs={TRIES})
def refused_with_number(stage: Stage, code: int) -> None:
    """The message names the number of tries that the key has left."""
    before = stage.device.measured["tries_left"]
    refused(stage, code, f"剩余 {before - 1} 次")


@then("钥匙显示的剩余次数恢复如初", needs={TRIES})
def tries_are_back(stage: Stage) -> None:
    """The key's own counter."""
    before, now = stage.device.measured["tries_left"], stage.device.ask("examine")["tries_left"]
    demand(now == before, before, now)


@when("单位开始登录，口令框打开时拔出钥匙，再输入口令", needs={PLUGGING})
def pulled_out_at_pin_box(stage: Stage) -> None:
    """The key goes while the PIN is asked for."""
    with PinBox(stage.folder) as box:
        program = stage.start_ukey("login", "--pin-file", box.path)
        box.wait_until_asked(program)
        stage.device.take_out()
        box.enter(stage.device.pin)
        stage.finish(program)


@given("单位打开的是一个转发网报系统的冒充网站")
def phishing(stage: Stage) -> None:
    """A site that passes everything on to the real one, under its own address."""
    gate = stage.closing.enter_context(Gate(stage.world.portal_url))
    stage.settings["UKEY_PORTAL"] = gate.url


@given("驱动的路径指到一个不存在的文件", needs={DRIVER})
def no_module(stage: Stage) -> None:
    """A wrong --module."""
    stage.settings["PKCS11_MODULE"] = str(stage.file("no-such-module.so"))


@given("驱动的路径指到一个不是驱动的文件", needs={DRIVER})
def no_real_module(stage: Stage) -> None:
    """A --module that is some other file."""
    other_file = stage.file("not-a-module.so")
    other_file.write_text("这不是驱动\n", encoding="utf-8")
    stage.settings["PKCS11_MODULE"] = str(other_file)


@given("网报系统停止了服务")
def portal_down(stage: Stage) -> None:
    """The portal does not answer."""
    _take_down(stage, "portal")


@when("网报系统恢复了服务")
def portal_up(stage: Stage) -> None:
    """The portal answers again."""
    stage.world.bring_up("portal")


@given("证书机构停止了服务")
def authority_down(stage: Stage) -> None:
    """No CA: no OCSP, no CRL, no CMP, no timestamps."""
    _take_down(stage, "ca")


@when("证书机构恢复了服务")
def authority_up(stage: Stage) -> None:
    """The CA answers again."""
    stage.world.bring_up("ca")


@given("网报系统的时间已经过了证书的有效期")
def portal_in_the_future(stage: Stage) -> None:
    """The world's clock is turned past the certificate's end."""
    stage.worlds.spoil()
    stage.world.clock.advance(timedelta(days=400))


@given("登录已经超时")
def session_expired(stage: Stage) -> None:
    """Half an hour and a bit without a word to the portal."""
    stage.worlds.spoil()
    stage.world.clock.advance(timedelta(minutes=31))


@when("单位跳过本机检查，直接提交登录签名")
def sign_and_post(stage: Stage) -> None:
    """What a client without checks of its own would do."""
    stage.memory["signed"] = _signed_challenge(stage)
    _post_login(stage)


@when("同一份登录签名再提交一次")
def post_again(stage: Stage) -> None:
    """A replay."""
    _post_login(stage)


@when("单位签好登录文字，十分钟后才提交")
def post_late(stage: Stage) -> None:
    """A signature kept for later."""
    stage.memory["signed"] = _signed_challenge(stage)
    stage.worlds.spoil()
    stage.world.clock.advance(timedelta(minutes=10))
    _post_login(stage)


@when("单位提交一份被改动的登录签名")
def post_tampered(stage: Stage) -> None:
    """A signature of one text, handed in for another."""
    first, second = _signed_challenge(stage), _signed_challenge(stage)
    stage.memory["signed"] = {"id": second["id"], "signature": first["signature"]}
    _post_login(stage)


@when("单位提交登录签名，其中的签名值换成别的文字的")
def post_forged(stage: Stage) -> None:
    """All is of the right text, its digest too: only the signature value is of another text."""
    first, second = _signed_challenge(stage), _signed_challenge(stage)
    stage.memory["signed"] = {"id": second["id"], "signature": _with_value_of(first, second)}
    _post_login(stage)


@then("网报系统接受登录")
def portal_accepts(stage: Stage) -> None:
    """HTTP 200 and a state."""
    status, answer = stage.memory["answer"]
    demand(status == 200 and answer.get("state") in {"ok", "bind"}, "接受", answer)  # noqa: PLR2004


@then("网报系统拒绝登录，代码「{code}」")
@then("网报系统拒绝接收，代码「{code}」")
def portal_refuses(stage: Stage, code: str) -> None:
    """The portal's word for its refusal, with a Chinese sentence beside it."""
    status, answer = stage.memory["answer"]
    good = status >= 400 and answer.get("code") == code and answer.get("message")  # noqa: PLR2004
    demand(good, code, f"HTTP {status} {answer}")


def log_in_with(stage: Stage, pin: str) -> Outcome:
    """Run `ukey login` and type this PIN."""
    return stage.ukey("login", "--pin-file", "-", typed=f"{pin}\n")


def wrong(pin: str) -> str:
    """Return a PIN of the same length that is not this one."""
    return ("9" if not pin.startswith("9") else "8") + pin[1:]


def other(pin: str) -> str:
    """Return a new PIN: as long as the old one, and different from what `wrong` gives."""
    return pin[::-1] if pin[::-1] != pin else f"{pin[:-1]}{(int(pin[-1], 36) + 1) % 10}"


def _enter_wrong_until(stage: Stage, words: str) -> None:
    for _ in range(MOST_TRIES):
        outcome = log_in_with(stage, wrong(stage.device.pin))
        demand(outcome.code != 0, "错误的口令被拒绝", "登录成功", outcome.said)
        if words in outcome.fault.splitlines()[-1]:
            return
    raise Unmet(f"提示“{words}”", f"输错 {MOST_TRIES} 次也没有提示", stage.outcome.said)


def _take_down(stage: Stage, site: str) -> None:
    stage.world.take_down(site)
    stage.worlds.spoil()


def _signed_challenge(stage: Stage) -> dict[str, str]:
    return stage.errand(
        "challenge",
        {
            "way": dict(stage.device.way),
            "portal": stage.world.portal_url,
            "pin": stage.device.pin,
        },
    )


def _with_value_of(giver: dict[str, str], taker: dict[str, str]) -> str:
    """Put the signature value (RFC 5652 §5.3) of one signed challenge into another."""
    from asn1crypto import cms  # noqa: PLC0415 - only this step takes a signature apart

    given_info, info = (
        cms.ContentInfo.load(base64.b64decode(one["signature"])) for one in (giver, taker)
    )
    value = given_info["content"]["signer_infos"][0]["signature"].native
    info["content"]["signer_infos"][0]["signature"] = value
    return base64.b64encode(info.dump(force=True)).decode()


def _post_login(stage: Stage) -> None:
    begun = time.monotonic()
    stage.memory["answer"] = stage.browser.api("/api/login", stage.memory["signed"])
    stage.note(
        f"POST /api/login → {stage.memory['answer'][0]} {stage.memory['answer'][1]} "
        f"({time.monotonic() - begun:.2f} s)"
    )

# ruff: noqa: D401 - a step's docstring says what is done or seen, as its words do
"""Steps about entering, producing the roster, sealing and handing in."""

import hashlib
from typing import Any

from ukey_harness.steps.browser import BrowserError
from ukey_harness.steps.definitions.portal import wrong
from ukey_harness.steps.grammar import given, then, when
from ukey_harness.steps.page import Page
from ukey_harness.steps.seals import RED_SHARE, judge, pdfsig, red_share
from ukey_harness.steps.stage import Stage, StageError
from ukey_harness.verdicts.unmet import demand

BASE = "/business/enrolment"
NEW_PERSON = f"{BASE}/persons/new"
MONTH = f"{BASE}/month"
HAND_IN = f"{BASE}/handin"


@when("单位录入一名参保人员")
def enter_person(stage: Stage) -> None:
    """The form 新增人员, filled in right."""
    person = _person(stage)
    stage.memory["person"] = person
    page = stage.browser.press(stage.browser.open(NEW_PERSON), "保存", person)
    demand("已保存" in page.text, "已保存", page.text)


@then("本月业务提交中列出这名人员")
def person_is_listed(stage: Stage) -> None:
    """The page 本月业务提交."""
    page = stage.browser.open(MONTH)
    name = stage.memory["person"]["AAC003"]
    demand(name in page.text, f"列出 {name}", page.text)


@when("单位录入一名身份号码有错的人员")
def enter_faulty_person(stage: Stage) -> None:
    """The check character of the ID number is wrong (GB 11643-1999)."""
    person = _person(stage)
    number = person["AAC002"]
    person["AAC002"] = number[:-1] + ("1" if number[-1] != "1" else "2")
    stage.memory["person"] = person
    stage.memory["page"] = stage.browser.press(stage.browser.open(NEW_PERSON), "保存", person)


@then("网报系统指出身份号码的错误，没有保存")
def fault_is_shown(stage: Stage) -> None:
    """The page names the field; the list stays empty."""
    page: Page = stage.memory["page"]
    demand("公民身份号码" in page.text and "需要改正" in page.text, "指出公民身份号码", page.text)
    listed = stage.browser.open(MONTH).text
    demand(stage.memory["person"]["AAC003"] not in listed, "没有保存", listed)


@when("单位提交本月业务")
def submit(stage: Stage) -> None:
    """The button 提交."""
    stage.memory["page"] = stage.browser.press(stage.browser.open(MONTH), "提交")


@then("网报系统告知「{words}」")
def portal_says(stage: Stage, words: str) -> None:
    """The page that followed says so."""
    demand(words in stage.memory["page"].text, words, stage.memory["page"].text)


@given("单位提交了一名参保人员")
def person_submitted(stage: Stage) -> None:
    """Entered and submitted."""
    enter_person(stage)
    submit(stage)
    portal_says(stage, "提交成功")


@when("单位打开上报材料")
def open_hand_in(stage: Stage) -> None:
    """打印报表, then the button 上报材料."""
    reports = stage.browser.open(f"{BASE}/reports")
    demand(reports.has_link("上报材料"), "有按钮“上报材料”", reports.text)
    stage.memory["page"] = stage.browser.open(HAND_IN)


@then("还不能上传")
def cannot_upload(stage: Stage) -> None:
    """The button 上传 is there and cannot be pressed."""
    page: Page = stage.memory["page"]
    demand(not page.can_press("上传"), "“上传”按不动", "“上传”可以按", page.text)
    demand("名册生成以后才能上传" in page.text, "说明为什么", page.text)


@when("单位生成名册")
def produce(stage: Stage) -> None:
    """The button 生成名册."""
    page = stage.browser.press(stage.browser.open(HAND_IN), "生成名册")
    stage.memory["page"] = page
    demand("名册已生成" in page.text, "名册已生成", page.text)
    stage.memory["roster"] = _rosters(stage)[0]


@then("可以上传")
def can_upload(stage: Stage) -> None:
    """The button 上传 can be pressed."""
    page: Page = stage.memory["page"]
    demand(page.can_press("上传"), "“上传”可以按", page.text)


@given("名册已经生成")
def roster_produced(stage: Stage) -> None:
    """From the person to the roster, in the browser."""
    stage.browser.take_over()
    person_submitted(stage)
    produce(stage)
    stage.note(f"名册 {stage.memory['roster']['id']}，SHA-256 {stage.memory['roster']['sha256']}")


@when("单位用口令给名册签章并上传")
def seal_and_upload(stage: Stage) -> None:
    """`ukey seal --roster ID --upload`: the PIN once, the rest without another act."""
    seal_roster(stage, stage.memory.get("new_pin", stage.device.pin))


@when("单位用错误的口令给名册签章")
def seal_with_wrong_pin(stage: Stage) -> None:
    """The same with a wrong PIN."""
    seal_roster(stage, wrong(stage.device.pin))


@given("名册已经签章上传")
def roster_handed_in(stage: Stage) -> None:
    """Produced, sealed, handed in."""
    roster_produced(stage)
    seal_and_upload(stage)
    handed_in(stage)


@then("签章完成，名册已上传")
def handed_in(stage: Stage) -> None:
    """The client says that it has sealed and handed in."""
    outcome = stage.outcome
    good = outcome.code == 0 and "签章完成" in outcome.out and "已上传" in outcome.out
    demand(good, "签章完成，已上传", f"退出码 {outcome.code}", outcome.said)


@then("网报系统上这份名册已签章")
def roster_is_sealed(stage: Stage) -> None:
    """What the portal says of it."""
    _roster_state(stage, "sealed")


@then("网报系统上这份名册未签章")
def roster_is_not_sealed(stage: Stage) -> None:
    """What the portal says of it."""
    _roster_state(stage, "produced")


@then("预览中看得见红色的圆形印章")
def preview_shows_seal(stage: Stage) -> None:
    """The pictures of 预览: one of them has the red of a seal, the unsealed roster has none."""
    page = stage.browser.open(f"{BASE}/rosters/{stage.memory['roster']['id']}/preview")
    demand(page.status == 200 and "签章有效" in page.text, "预览写着“签章有效”", page.text)  # noqa: PLR2004
    pictures = [stage.browser.fetch(each) for each in page.images if each.endswith(".png")]
    demand(pictures, "有预览图", "没有")
    stage.memory.setdefault("previews", []).append(pictures[-1])
    shares = [round(red_share(picture), 5) for picture in pictures]
    stage.note(f"{len(pictures)} 页，红色像素所占比例 {shares}")
    demand(max(shares) > RED_SHARE, f"红色像素多于 {RED_SHARE}", shares)


@then("pyHanko 认为签章有效、文件完整，并带有时间戳")
def pyhanko_accepts(stage: Stage) -> None:
    """An independent validation with the world's root as the only anchor."""
    ca = stage.world.ca
    found = judge(_sealed(stage), ca.root, [ca.issuing], stage.world.clock.now())
    stage.note(f"pyHanko: {found.summary}；签章人 {found.signer}；时间戳 {found.time}")
    stage.memory["judgement"] = found
    demand(found.valid and found.intact, "有效、完整", found.summary, found.report)
    demand(found.time is not None, "带有可信的时间戳", "没有", found.report)


@then("pdfsig 认为签章有效")
def pdfsig_accepts(stage: Stage) -> None:
    """Poppler's own check."""
    ca = stage.world.ca
    said = pdfsig(stage.memory["sealed_file"], ca.root, [ca.issuing])
    stage.note(said.strip())
    demand("Signature is Valid." in said, "Signature is Valid.", said)


@then("签章覆盖整份名册，签章人是本单位")
def seal_covers_all(stage: Stage) -> None:
    """Nothing after the seal; the signer is the unit."""
    found = stage.memory["judgement"]
    demand(found.whole, "覆盖整个文件", found.report)
    demand(found.signer == stage.unit.name, stage.unit.name, found.signer)


@when("单位把同一份签章后的名册再传一次")
def upload_again(stage: Stage) -> None:
    """The same file once more."""
    _upload(stage, _sealed(stage))


@when("单位上传没有签章的名册")
def upload_unsealed(stage: Stage) -> None:
    """The roster as it was produced."""
    _upload(stage, _produced(stage))


@when("单位上传一个不是 PDF 的文件")
def upload_no_pdf(stage: Stage) -> None:
    """Some text."""
    _upload(stage, "这不是 PDF".encode())


@when("单位上传签章之后被改动的名册")
def upload_tampered(stage: Stage) -> None:
    """One byte inside of what was signed is changed."""
    sealed = bytearray(_seal_aside(stage, _produced(stage)))
    place = sealed.index(b"stream") + 20
    sealed[place] ^= 0x01
    _upload(stage, bytes(sealed))


@when("单位上传盖了章的另一份文件")
def upload_other_document(stage: Stage) -> None:
    """A good seal on another document."""
    from ukey_harness.steps.documents import plain_pdf  # noqa: PLC0415 - draws with a heavy library

    _upload(stage, _seal_aside(stage, plain_pdf("另一份文件")))


@when("单位上传用别的单位的钥匙签章的名册")
def upload_with_foreign_seal(stage: Stage) -> None:
    """The right document under the seal of another unit."""
    roster = _produced(stage)
    stage.device.fresh()
    stage.provision(stage.worlds.next_unit())
    _upload(stage, _seal_aside(stage, roster))


def seal_roster(stage: Stage, pin: str) -> None:
    """Run `ukey seal --roster`; the result's path is left in the memory as sealed_file."""
    roster = stage.memory["roster"]["id"]
    output = stage.file(f"roster-{roster}-sealed.pdf")
    stage.memory["sealed_file"] = output
    arguments = ("--roster", roster, "--upload", "-y", "-o", str(output), "--pin-file", "-")
    stage.ukey("seal", *arguments, typed=f"{pin}\n")
    if output.is_file():
        stage.memory.setdefault("all_sealed", []).append(output)


def _person(stage: Stage) -> dict[str, str]:
    from ukey_harness.world.portal.enrolment.examples import (  # noqa: PLC0415 - extra `world`
        example_person,
    )
    from ukey_harness.world.portal.settings import CHINA  # noqa: PLC0415 - the same

    count = stage.memory["persons"] = stage.memory.get("persons", -1) + 1
    number = int(stage.unit.number) * 7 + count
    return example_person(number % 4000, stage.world.clock.now().astimezone(CHINA).date())


def _rosters(stage: Stage) -> list[dict[str, Any]]:
    status, answer = stage.browser.api("/api/rosters")
    if status != 200:  # noqa: PLR2004 - HTTP
        raise BrowserError(f"GET /api/rosters: {status} {answer}")
    rosters: list[dict[str, Any]] = answer["rosters"]
    return rosters


def _roster_state(stage: Stage, wanted: str) -> None:
    mine = stage.memory["roster"]["id"]
    states = [each["state"] for each in _rosters(stage) if each["id"] == mine]
    demand(states == [wanted], wanted, states)


def _produced(stage: Stage) -> bytes:
    roster = stage.memory["roster"]
    pdf = stage.browser.fetch(f"/api/rosters/{roster['id']}.pdf")
    digest = hashlib.sha256(pdf).hexdigest()
    demand(digest == roster["sha256"], roster["sha256"], digest)
    return pdf


def _sealed(stage: Stage) -> bytes:
    file = stage.memory.get("sealed_file")
    if file is None or not file.is_file():
        raise StageError("nothing was sealed in this scenario")
    content: bytes = file.read_bytes()
    return content


def _seal_aside(stage: Stage, pdf: bytes) -> bytes:
    source, output = stage.file("aside.pdf"), stage.file("aside-sealed.pdf")
    source.write_bytes(pdf)
    pin = f"{stage.device.pin}\n"
    done = stage.ukey("seal", str(source), "-o", str(output), "--pin-file", "-", typed=pin)
    demand(done.code == 0, "签章完成", f"退出码 {done.code}", done.said)
    return output.read_bytes()


def _upload(stage: Stage, pdf: bytes) -> None:
    path = f"/api/rosters/{stage.memory['roster']['id']}/sealed"
    stage.memory["answer"] = stage.browser.api(path, pdf)
    status, answer = stage.memory["answer"]
    stage.note(f"POST {path}（{len(pdf)} 字节）→ {status} {answer}")

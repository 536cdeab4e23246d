"""本月业务提交 and 打印报表, as a person at the pages does them."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from portal_parties import Holder, Office

from ukey_harness.world.portal.enrolment.examples import example_person
from ukey_harness.world.portal.enrolment.persons import PersonState
from ukey_harness.world.portal.enrolment.roster import draw_roster

BASE = "/business/enrolment"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.close()


@pytest.fixture
def holder(office: Office) -> Holder:
    return office.member().enter()


def person(office: Office, n: int = 0, **changes: str) -> dict[str, str]:
    return example_person(n, office.app.state.portal.persons.today()) | changes


def csrf(holder: Holder) -> str:
    page: str = holder.client.get("/business").text
    return page.split('name="csrf" value="')[1].split('"', maxsplit=1)[0]


def enter(holder: Holder, told: dict[str, str], where: str = "persons") -> tuple[int, str]:
    answer = holder.client.post(f"{BASE}/{where}", data=told | {"csrf": csrf(holder)})
    return answer.status_code, answer.text


def press(holder: Holder, where: str) -> tuple[int, str]:
    answer = holder.client.post(f"{BASE}/{where}", data={"csrf": csrf(holder)})
    return answer.status_code, answer.text


def test_enter_check_submit_produce(office: Office, holder: Holder) -> None:
    hand_in = holder.client.get(f"{BASE}/handin").text
    assert '<button type="button" disabled aria-describedby="why-disabled">上传</button>' in hand_in
    assert '<button type="submit" disabled>生成名册</button>' in hand_in
    for n in range(3):
        status, page = enter(holder, person(office, n))
        assert (status, "已保存" in page) == (200, True)
    assert "校验通过：3 人" in holder.client.get(f"{BASE}/month?check=1").text
    status, page = press(holder, "submit")
    assert (status, "提交成功" in page, "3 人" in page) == (200, True, True)
    status, page = press(holder, "rosters")
    assert (status, "名册已生成" in page) == (200, True)
    assert '<button type="submit">上传</button>' in page
    assert "why-disabled" not in page
    roster = holder.client.get("/api/rosters").json()["rosters"][0]["id"]
    assert f"--roster {roster} --upload" in page
    assert f"--ca {office.authority.url}" in page


def test_faults_stand_at_their_fields_and_what_was_entered_is_kept(
    office: Office, holder: Holder
) -> None:
    told = person(office, AAC003='"><script>x</script>', AAC040="1", AAC030="2026-13-01")
    status, page = enter(holder, told)
    assert status == 422
    assert "有 3 处需要改正" in page
    assert "<script>" not in page
    assert 'value="&#34;&gt;&lt;script&gt;x&lt;/script&gt;"' in page
    assert 'value="2026-13-01"' in page
    assert f'value="{told["AAC002"]}"' in page
    assert page.count('aria-invalid="true"') == 3
    assert 'id="e-AAC040">申报工资须在' in page
    assert office.app.state.portal.persons.listed(holder.unit.identifier, "entered") == []


def test_correct_and_remove(office: Office, holder: Holder) -> None:
    enter(holder, person(office))
    (kept,) = office.app.state.portal.persons.listed(holder.unit.identifier, PersonState.ENTERED)
    assert "赵晓岚" in holder.client.get(f"{BASE}/persons/{kept.id}").text
    status, page = enter(holder, person(office, AAC003="赵新名"), f"persons/{kept.id}")
    assert (status, "赵新名" in page, "赵晓岚" in page) == (200, True, False)
    status, page = press(holder, f"persons/{kept.id}/remove")
    assert (status, "已删除" in page, "赵新名" in page) == (200, True, False)


def test_nobody_is_enrolled_twice(office: Office, holder: Holder) -> None:
    other = office.member(1).enter()
    assert enter(holder, person(office))[0] == 200
    status, page = enter(holder, person(office))
    assert (status, "不能重复参保登记" in page) == (422, True)
    # Another unit's draft is nobody's business and stops nobody.
    assert enter(other, person(office))[0] == 200
    assert press(holder, "submit")[0] == 200
    status, page = press(other, "submit")
    assert (status, "该人员已参保" in page) == (422, True)
    assert holder.unit.name not in page
    status, page = enter(other, person(office) | {"AAC003": "李四"})
    assert (status, "重复" in page) == (422, True)


def test_submitting_checks_anew_and_takes_all_or_none(office: Office, holder: Holder) -> None:
    enter(holder, person(office, 0))
    office.clock.advance(timedelta(days=100))
    holder.enter()
    enter(holder, person(office, 1))
    status, page = press(holder, "submit")
    assert status == 422
    assert "有 1 人的信息未通过校验" in page
    assert "更早的请办理滞后补收" in page
    persons = office.app.state.portal.persons
    assert len(persons.listed(holder.unit.identifier, PersonState.ENTERED)) == 2


def test_nothing_to_submit_nothing_to_produce(holder: Holder) -> None:
    status, page = press(holder, "submit")
    assert (status, "请先录入" in page) == (422, True)
    status, page = press(holder, "rosters")
    assert (status, "无法生成名册" in page) == (422, True)
    assert holder.client.post("/api/rosters").json()["code"] == "nothing_submitted"
    assert holder.client.post("/api/enrolment/submit").json()["code"] == "nothing_entered"


def test_submitted_persons_cannot_be_changed(office: Office, holder: Holder) -> None:
    enter(holder, person(office))
    (kept,) = office.app.state.portal.persons.listed(holder.unit.identifier, PersonState.ENTERED)
    press(holder, "submit")
    assert holder.client.get(f"{BASE}/persons/{kept.id}").status_code == 409
    assert press(holder, f"persons/{kept.id}/remove")[0] == 409
    assert enter(holder, person(office), f"persons/{kept.id}")[0] == 409


def test_other_units_persons_and_rosters_do_not_exist(office: Office, holder: Holder) -> None:
    enter(holder, person(office))
    (kept,) = office.app.state.portal.persons.listed(holder.unit.identifier, PersonState.ENTERED)
    other = office.member(1).enter()
    assert other.client.get(f"{BASE}/persons/{kept.id}").status_code == 404
    assert press(other, f"persons/{kept.id}/remove")[0] == 404
    press(holder, "submit")
    roster = holder.client.post("/api/rosters").json()["id"]
    assert other.client.get("/api/rosters").json() == {"rosters": []}
    for path in (
        f"/api/rosters/{roster}.pdf",
        f"{BASE}/rosters/{roster}.pdf",
        f"{BASE}/rosters/{roster}/preview",
        f"{BASE}/rosters/{roster}/pages/1.png",
    ):
        assert other.client.get(path).status_code == 404, path
        assert office.client().get(path).status_code in {200, 401}
        assert b"%PDF" not in office.client().get(path).content
    assert press(other, f"rosters/{roster}/withdraw")[0] == 404
    assert holder.client.get(f"{BASE}/rosters/{roster}/preview").status_code == 404


def test_the_json_interface_enters_and_tells_faults(office: Office, holder: Holder) -> None:
    added = holder.client.post("/api/enrolment/persons", json=person(office))
    assert added.status_code == 201
    wrong = holder.client.post("/api/enrolment/persons", json=person(office, 1, AAC040="1"))
    assert (wrong.status_code, wrong.json()["code"]) == (422, "fields_invalid")
    assert list(wrong.json()["fields"]) == ["AAC040"]
    assert holder.client.post("/api/enrolment/submit").json() == {"submitted": 1}


def test_a_withdrawn_roster_gives_its_persons_back(office: Office, holder: Holder) -> None:
    enter(holder, person(office))
    press(holder, "submit")
    roster = holder.client.post("/api/rosters").json()["id"]
    status, page = press(holder, f"rosters/{roster}/withdraw")
    assert (status, "名册已撤回" in page, "赵晓岚" in page) == (200, True, True)
    assert holder.client.get("/api/rosters").json() == {"rosters": []}
    press(holder, "submit")
    assert holder.client.post("/api/rosters").json()["persons"] == 1


def test_the_roster_is_a_chinese_pdf_of_what_was_submitted(
    office: Office, holder: Holder, tmp_path: Path
) -> None:
    for n in range(40):
        told = person(office, n)
        if n == 7:
            told["AAC003"] = "赵·钱"
            told["AAE013"] = "A&<b>"
        assert holder.client.post("/api/enrolment/persons", json=told).status_code == 201
    holder.client.post("/api/enrolment/submit")
    made = holder.client.post("/api/rosters").json()
    pdf = holder.client.get(f"/api/rosters/{made['id']}.pdf")
    assert pdf.headers["content-type"] == "application/pdf"
    assert hashlib.sha256(pdf.content).hexdigest() == made["sha256"]
    assert made["state"] == "produced"
    assert made["created"].endswith("Z")
    path = tmp_path / "roster.pdf"
    path.write_bytes(pdf.content)
    text = subprocess.run(
        ["pdftotext", "-layout", path, "-"], capture_output=True, check=True, timeout=30, text=True
    ).stdout
    assert "企业养老保险人员参保登记名册" in text
    for words in (
        holder.unit.name,
        holder.unit.number,
        holder.unit.identifier,
        "赵·钱",
        "A&<b>",
        "农民合同制工人",
        "合计：40 人",
        "经办人",
        "填报日期",
        "单位（盖章）",
        "第3页",
        f"{office.clock.now():%Y}年",
    ):
        assert words in text or words in text.replace(" ", ""), words
    for n in range(40):
        assert person(office, n)["AAC002"] in text
    about = subprocess.run(
        ["pdfinfo", path], capture_output=True, check=True, timeout=30, text=True
    ).stdout
    assert "841.89 x 595" in about
    assert "Pages:           3" in about
    fonts = subprocess.run(
        ["pdffonts", path], capture_output=True, check=True, timeout=30, text=True
    ).stdout.splitlines()[2:]
    assert fonts
    assert all(" yes yes " in line for line in fonts)  # embedded, so that it reads everywhere


def test_the_same_roster_has_the_same_bytes(office: Office, holder: Holder) -> None:
    enter(holder, person(office))
    press(holder, "submit")
    portal = office.app.state.portal
    draft = portal.rosters._draft(holder.unit)
    first = draw_roster(draft, portal.rules, "甲")
    office.clock.advance(timedelta(days=3))
    assert draw_roster(draft, portal.rules, "甲") == first
    assert draw_roster(draft, portal.rules, "乙") != first


def test_the_second_batch_of_a_month(office: Office, holder: Holder) -> None:
    titles = []
    for n in range(2):
        enter(holder, person(office, n))
        press(holder, "submit")
        titles.append(holder.client.post("/api/rosters").json()["title"])
    assert [title.split(" ", 1)[1] for title in titles] == ["第 1 批）", "第 2 批）"]
    listed = holder.client.get("/api/rosters").json()["rosters"]
    assert [one["title"] for one in listed] == titles[::-1]

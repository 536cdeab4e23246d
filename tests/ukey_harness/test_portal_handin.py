"""上报材料: the sealed roster is taken back only if all of it is right."""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import portal_seals as seals
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID as Extended
from PIL import Image
from portal_parties import Holder, LittleAuthority, Office, usage
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.validation.dss import DocumentSecurityStore

from ukey_harness.world.portal import Limits
from ukey_harness.world.portal.enrolment.examples import example_person
from ukey_harness.world.portal.enrolment.handin import HandIn
from ukey_harness.world.portal.enrolment.persons import PersonState
from ukey_harness.world.portal.refusals import PortalRefusal
from ukey_harness.world.portal.trust import Trust

BASE = "/business/enrolment"


@dataclass
class Desk:
    """A unit at the hand-in page, with one roster produced."""

    office: Office
    holder: Holder
    roster: str
    pdf: bytes

    @classmethod
    def at(cls, office: Office, holder: Holder, n: int) -> Desk:
        today = office.app.state.portal.persons.today()
        for k in range(2):
            told = example_person(n * 10 + k, today)
            assert holder.client.post("/api/enrolment/persons", json=told).status_code == 201
        assert holder.client.post("/api/enrolment/submit").status_code == 200
        roster = holder.client.post("/api/rosters").json()["id"]
        return cls(office, holder, roster, holder.client.get(f"/api/rosters/{roster}.pdf").content)

    def post(self, sealed: bytes) -> Any:
        return self.holder.client.post(
            f"/api/rosters/{self.roster}/sealed",
            content=sealed,
            headers={"Content-Type": "application/pdf"},
        )

    def hand_in(self, sealed: bytes) -> tuple[int, str]:
        answer = self.post(sealed)
        found: dict[str, Any] = answer.json()
        assert "code" not in found or found["message"]
        return answer.status_code, found.get("code", found.get("state"))

    def state(self) -> str:
        listed = self.holder.client.get("/api/rosters").json()["rosters"]
        return next(one["state"] for one in listed if one["id"] == self.roster)

    def refused(self, sealed: bytes, code: str, status: int = 422) -> None:
        assert self.hand_in(sealed) == (status, code)
        assert self.state() == "produced"

    def stranger(self, **changes: Any) -> Holder:
        """Return a holder of another certificate of the same unit, made as told."""
        key = ec.generate_private_key(ec.SECP256R1())
        unit = self.holder.unit
        certificate = self.office.authority.issue(key.public_key(), unit, **changes)
        return Holder(unit, key, certificate, self.holder.client, self.office.authority)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One desk for all refusals: none of them may change anything."""
    office = Office(
        tmp_path_factory.mktemp("portal"),
        limits=Limits(status_seconds=2, sealed_bytes=2 * 1024 * 1024),
    )
    yield Desk.at(office, office.member().enter(), 0)
    office.close()


@pytest.fixture
def desk(busy: Desk) -> Desk:
    busy.office.authority.status.__init__()  # type: ignore[misc]
    return busy


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Desk]:
    office = Office(tmp_path)
    yield Desk.at(office, office.member().enter(), 0)
    office.close()


def test_a_sealed_roster_is_taken_back_and_shown(fresh: Desk, tmp_path: Path) -> None:
    client = fresh.holder.client
    sealed = seals.seal(fresh.holder, fresh.pdf)
    assert fresh.hand_in(sealed) == (200, "sealed")
    assert fresh.state() == "sealed"
    assert client.get(f"/api/rosters/{fresh.roster}/sealed.pdf").content == sealed
    assert client.get(f"/api/rosters/{fresh.roster}.pdf").content == fresh.pdf
    unit = fresh.holder.unit.identifier
    assert len(fresh.office.app.state.portal.persons.listed(unit, PersonState.ENROLLED)) == 2
    preview = client.get(f"{BASE}/rosters/{fresh.roster}/preview").text
    (picture,) = re.findall(r'<img src="([^"]+\.png)"', preview)
    answer = client.get(picture)
    assert answer.headers["content-type"] == "image/png"
    shown = Image.open(io.BytesIO(answer.content)).convert("RGB")
    assert shown.width > shown.height > 800
    red = sum(
        count
        for count, (r, g, b) in shown.getcolors(1 << 24) or []
        if r > 180 and g < 60 and b < 60
    )
    assert red > 3000  # the seal; the roster itself has no red
    assert client.get(picture.replace("1.png", "2.png")).status_code == 404
    path = tmp_path / "sealed.pdf"
    path.write_bytes(sealed)
    judged = subprocess.run(
        ["pdfsig", "-nocert", path], capture_output=True, check=True, timeout=30, text=True
    ).stdout
    assert "Signature is Valid" in judged
    assert "Total document signed" in judged
    assert fresh.hand_in(sealed) == (409, "already_sealed")


def test_the_pages_way(fresh: Desk) -> None:
    client = fresh.holder.client
    page = client.get(f"{BASE}/handin").text
    form = {"csrf": page.split('name="csrf" value="')[1].split('"')[0]}
    where = f"{BASE}/rosters/{fresh.roster}/sealed"

    def upload(content: bytes) -> Any:
        return client.post(where, data=form, files={"sealed": ("a.pdf", content)})

    empty = client.post(where, data=form)
    assert (empty.status_code, "请先选择文件" in empty.text) == (400, True)
    wrong = upload(fresh.pdf)
    assert (wrong.status_code, "上传未成功" in wrong.text) == (422, True)
    assert "没有电子签章" in wrong.text
    done = upload(seals.seal(fresh.holder, fresh.pdf))
    assert (done.status_code, "上传成功" in done.text) == (200, True)
    assert f"{BASE}/rosters/{fresh.roster}/preview" in done.text
    withdrawn = client.post(f"{BASE}/rosters/{fresh.roster}/withdraw", data=form)
    assert (withdrawn.status_code, "不能撤回" in withdrawn.text) == (409, True)
    again = upload(seals.seal(fresh.holder, fresh.pdf))
    assert (again.status_code, "不能重复上传" in again.text) == (409, True)


def test_a_renewed_certificate_seals_as_well(fresh: Desk) -> None:
    assert fresh.hand_in(seals.seal(fresh.stranger(), fresh.pdf)) == (200, "sealed")


def test_a_seal_without_a_time_stamp(desk: Desk) -> None:
    desk.refused(seals.seal(desk.holder, desk.pdf, stamped=False), "timestamp_missing")


def test_long_term_data_may_follow_the_seal(fresh: Desk) -> None:
    sealed = io.BytesIO(seals.seal(fresh.holder, fresh.pdf))
    writer = IncrementalPdfFileWriter(sealed)
    DocumentSecurityStore.supply_dss_in_writer(
        writer, b"", certs=[seals._asn1(fresh.office.authority.issuing)], ocsps=[], crls=[]
    )
    writer.write_in_place()
    longer = sealed.getvalue()
    assert len(longer) > len(seals.seal(fresh.holder, fresh.pdf))
    assert fresh.hand_in(longer) == (200, "sealed")


def test_a_time_stamp_of_a_stranger_is_not(desk: Desk) -> None:
    foreign = LittleAuthority(desk.office.clock)
    times = seals.stamper(foreign)
    foreign.close()
    desk.refused(seals.seal(desk.holder, desk.pdf, times=times), "seal_invalid")


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00" * 100,
        b"%PDF-",
        b"%PDF-1.7\n" + b"garbage " * 50,
        b"%PDF-1.7\nxref\n0 1\ntrailer<</Root 1 0 R>>\nstartxref\n9\n%%EOF",
        b"PK\x03\x04 a zip",
        b"<html>%PDF-1.7</html>",
    ],
)
def test_what_is_no_pdf(desk: Desk, garbage: bytes) -> None:
    desk.refused(garbage, "not_a_pdf")


def test_half_a_pdf_is_none(desk: Desk) -> None:
    sealed = seals.seal(desk.holder, desk.pdf)
    desk.refused(sealed[: len(desk.pdf) // 2], "not_a_pdf")


def test_an_encrypted_pdf_is_none(desk: Desk) -> None:
    desk.refused(seals.encrypted(desk.pdf), "not_a_pdf")


def test_an_unsealed_roster(desk: Desk) -> None:
    desk.refused(desk.pdf, "not_sealed")


def test_a_seal_cut_off_again(desk: Desk) -> None:
    desk.refused(seals.seal(desk.holder, desk.pdf)[: len(desk.pdf)], "not_sealed")


def test_a_changed_byte_of_the_document(desk: Desk) -> None:
    sealed = bytearray(seals.seal(desk.holder, desk.pdf))
    place = bytes(sealed).index(b"stream\n") + 300
    sealed[place] ^= 1
    desk.refused(bytes(sealed), "seal_invalid")


@pytest.mark.parametrize("part", ["signature", "stamp", "attributes", "certificate"])
def test_a_changed_byte_of_the_signature(desk: Desk, part: str) -> None:
    sealed = bytearray(seals.seal(desk.holder, desk.pdf))
    value = seals.part_of_signature(bytes(sealed), part).hex().upper().encode()
    assert sealed.count(value) == 1
    place = sealed.index(value) + len(value) - 1
    sealed[place] = ord("1") if sealed[place] != ord("1") else ord("2")
    desk.refused(bytes(sealed), "seal_invalid")


def test_no_changed_byte_breaks_the_portal(desk: Desk) -> None:
    good = seals.seal(desk.holder, desk.pdf)
    for place in range(len(desk.pdf), len(good), 811):
        bad = bytearray(good)
        bad[place] ^= 0x15
        status, _ = desk.hand_in(bytes(bad))
        assert status in {403, 422}, place


@pytest.mark.parametrize("change", [seals.with_note, seals.with_title])
def test_a_change_after_the_seal(desk: Desk, change: Callable[[bytes], bytes]) -> None:
    desk.refused(change(seals.seal(desk.holder, desk.pdf)), "seal_invalid")


@pytest.mark.parametrize(
    "hole", [(-40, 0), (0, 40), (-12, -12)], ids=["before", "behind", "displaced"]
)
def test_a_seal_that_leaves_out_more_than_itself(desk: Desk, hole: tuple[int, int]) -> None:
    sealed = seals.resealed(desk.holder, seals.seal(desk.holder, desk.pdf), hole)
    answer = desk.post(sealed)
    assert (answer.status_code, answer.json()["code"]) == (422, "seal_invalid")
    assert "没有覆盖整个文件" in answer.json()["message"]
    assert desk.state() == "produced"


def test_a_seal_anew_over_the_same_bytes(fresh: Desk) -> None:
    """The seals above are refused for their holes, not for how they were made."""
    sealed = seals.resealed(fresh.holder, seals.seal(fresh.holder, fresh.pdf), (0, 0))
    assert fresh.hand_in(sealed) == (200, "sealed")


def test_bytes_after_the_seal(desk: Desk) -> None:
    status, code = desk.hand_in(seals.seal(desk.holder, desk.pdf) + b"\n% more\n" * 300)
    assert (status, code) in {(422, "seal_invalid"), (422, "not_a_pdf")}


def test_two_seals(desk: Desk) -> None:
    once = seals.seal(desk.holder, desk.pdf)
    desk.refused(seals.seal(desk.holder, once, name="Seal2"), "seal_invalid")


def test_a_weak_digest(desk: Desk) -> None:
    desk.refused(seals.seal(desk.holder, desk.pdf, digest="sha1"), "seal_invalid")


def test_another_units_seal(desk: Desk) -> None:
    desk.refused(seals.seal(desk.office.holder(5), desk.pdf), "signer_mismatch")


def test_a_stranger_seals(desk: Desk) -> None:
    foreign = LittleAuthority(desk.office.clock)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = foreign.issue(key.public_key(), desk.holder.unit)
    holder = Holder(desk.holder.unit, key, certificate, desk.holder.client, foreign)
    sealed = seals.seal(holder, desk.pdf, times=seals.stamper(desk.office.authority))
    foreign.close()
    desk.refused(sealed, "chain_invalid", 403)


def test_certificates_that_are_not_good_now(desk: Desk) -> None:
    now = desk.office.clock.now()
    expired = desk.stranger(start=now - timedelta(days=30), days=29)
    desk.refused(seals.seal(expired, desk.pdf), "certificate_expired", 403)
    early = desk.stranger(start=now + timedelta(days=2))
    desk.refused(seals.seal(early, desk.pdf), "certificate_not_yet_valid", 403)
    revoked = desk.stranger()
    desk.office.authority.status.revoked.add(revoked.certificate.serial_number)
    desk.refused(seals.seal(revoked, desk.pdf), "certificate_revoked", 403)


def test_certificates_that_are_not_for_sealing(desk: Desk) -> None:
    for changes in (
        {"key_usage": usage("key_encipherment")},
        {"extended": (Extended.TIME_STAMPING,)},
    ):
        wrong = desk.stranger(**changes)
        desk.refused(seals.seal(wrong, desk.pdf), "usage_invalid", 403)
    nameless = desk.stranger(identifier=None)
    desk.refused(seals.seal(nameless, desk.pdf), "identifier_missing", 403)


def test_the_authority_does_not_answer(desk: Desk) -> None:
    desk.office.authority.status.ocsp = desk.office.authority.status.crl = "down"
    desk.refused(seals.seal(desk.holder, desk.pdf), "status_unavailable", 503)


def test_another_document(desk: Desk) -> None:
    other = Desk.at(desk.office, desk.holder, 7)
    desk.refused(seals.seal(desk.holder, other.pdf), "document_mismatch")
    desk.holder.client.post(
        f"{BASE}/rosters/{other.roster}/withdraw",
        data={"csrf": desk.holder.client.get("/business").text.split('value="')[1].split('"')[0]},
    )


@pytest.mark.parametrize("change", [seals.with_note, seals.with_title, seals.rewritten])
def test_the_document_changed_before_the_seal(desk: Desk, change: Callable[[bytes], bytes]) -> None:
    desk.refused(seals.seal(desk.holder, change(desk.pdf)), "document_mismatch")


def test_another_field_added_with_the_seal(desk: Desk) -> None:
    desk.refused(seals.seal(desk.holder, seals.with_field(desk.pdf)), "document_mismatch")


def test_another_field_filled_in_with_the_seal(desk: Desk) -> None:
    """Rosters have no form today; if they had, sealing must not fill it in."""
    form = seals.with_text_field(desk.pdf)
    unit = desk.holder.unit
    examination = HandIn(Trust(desk.office.settings))
    assert examination.require(seals.seal(desk.holder, form), form, unit.identifier) == unit.name
    with pytest.raises(PortalRefusal) as caught:
        examination.require(seals.seal(desk.holder, seals.with_text(form)), form, unit.identifier)
    assert caught.value.code == "document_mismatch"
    assert "内容被改动过" in caught.value.message


def test_too_much(desk: Desk) -> None:
    sealed = seals.seal(desk.holder, desk.pdf)
    desk.refused(sealed + b"\x00" * (2 * 1024 * 1024), "too_large", 413)


def test_another_content_type(desk: Desk) -> None:
    answer = desk.holder.client.post(
        f"/api/rosters/{desk.roster}/sealed", content=b"%PDF-", headers={"Content-Type": "text/xml"}
    )
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_no_such_roster(desk: Desk) -> None:
    answer = desk.holder.client.post(
        "/api/rosters/nobody/sealed", content=b"%PDF-", headers={"Content-Type": "application/pdf"}
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    other = desk.office.member(6).enter()
    answer = other.client.post(
        f"/api/rosters/{desk.roster}/sealed",
        content=seals.seal(other, desk.pdf),
        headers={"Content-Type": "application/pdf"},
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

"""CA用户绑定: once, with few tries, kept by the unit and not by the certificate."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from portal_parties import PASSWORD, Holder, Office

from ukey_harness.world.portal import Limits, add_account
from ukey_harness.world.units import Unit


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path, limits=Limits(bind_tries=3))
    yield office
    office.close()


def renewed(office: Office, holder: Holder) -> Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = office.authority.issue(key.public_key(), holder.unit)
    return Holder(holder.unit, key, certificate, office.client(), office.authority)


def test_bound_once_the_certificate_suffices_also_a_renewed_one(office: Office) -> None:
    holder = office.member()
    assert holder.log_in().json()["state"] == "bind"
    assert holder.bind().json() == {"state": "ok", "unit": holder.unit.name}
    assert holder.log_in().json()["state"] == "ok"
    assert renewed(office, holder).log_in().json()["state"] == "ok"
    other = office.member(1)
    assert other.log_in().json()["state"] == "bind"


def test_the_session_id_changes_and_the_old_one_is_dead(office: Office) -> None:
    holder = office.member()
    holder.log_in()
    before = holder.client.cookies["ukeylab_session"]
    holder.bind()
    assert holder.client.cookies["ukeylab_session"] != before
    holder.client.cookies.clear()
    holder.client.cookies.set("ukeylab_session", before)
    assert holder.client.get("/api/session").json() == {"state": "none"}


def test_wrong_passwords_count_down_and_lock_for_a_time(office: Office) -> None:
    holder = office.member()
    holder.log_in()
    for left in (2, 1):
        answer = holder.bind(password="wrong")
        assert answer.status_code == 403
        assert answer.json()["code"] == "bad_credentials"
        assert answer.json()["tries_left"] == left
        assert str(left) in answer.json()["message"]
    locked = holder.bind(password="wrong")
    assert (locked.status_code, locked.json()["code"]) == (403, "account_locked")
    assert holder.bind().json()["code"] == "account_locked"
    office.clock.advance(timedelta(hours=1, seconds=1))
    holder.log_in()
    assert holder.bind().json()["state"] == "ok"


def test_a_right_password_resets_the_count(office: Office) -> None:
    holder = office.member()
    holder.log_in()
    assert holder.bind(password="wrong").json()["tries_left"] == 2
    assert holder.bind().json()["state"] == "ok"
    second = office.holder(1)
    add_account(office.app, "second", "pw", second.unit)
    second.log_in()
    assert second.bind(holder.unit.number, "wrong").json()["tries_left"] == 2


def test_unknown_users_are_answered_as_known_ones(office: Office) -> None:
    holder = office.member()
    holder.log_in()
    known = [holder.bind(password="wrong").json() for _ in range(4)]
    unknown = [holder.bind("nobody", "wrong").json() for _ in range(4)]
    for one, other in zip(known, unknown, strict=True):
        assert one.keys() == other.keys()
        assert (one["code"], one.get("tries_left")) == (other["code"], other.get("tries_left"))


def test_an_account_of_another_unit_is_refused(office: Office) -> None:
    mine, other = office.member(0), office.member(1)
    mine.log_in()
    answer = mine.bind(other.unit.number)
    assert (answer.status_code, answer.json()["code"]) == (409, "account_of_another_unit")
    assert mine.client.get("/api/session").json()["state"] == "bind"


def test_an_account_moved_to_another_unit_stays_with_its_binding(office: Office) -> None:
    first = office.member(0)
    first.enter()
    second = office.holder(1)
    add_account(office.app, first.unit.number, PASSWORD, second.unit)
    second.log_in()
    answer = second.bind(first.unit.number)
    assert (answer.status_code, answer.json()["code"]) == (409, "account_of_another_unit")


def test_only_a_session_that_awaits_binding_can_bind(office: Office) -> None:
    holder = office.member()
    assert holder.bind().json()["code"] == "not_in_bind_state"
    holder.enter()
    assert holder.bind().json()["code"] == "not_in_bind_state"


def test_nothing_of_a_password_is_kept_or_logged(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    holder = office.member()
    holder.enter()
    kept = b"".join(path.read_bytes() for path in office.settings.folder.iterdir())
    assert PASSWORD.encode() not in kept
    assert holder.client.cookies["ukeylab_session"].encode() not in kept
    assert PASSWORD not in caplog.text
    assert (office.settings.folder / "portal.sqlite").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("user", "password"), [("", "x"), ("x" * 65, "x"), ("x", ""), ("x", "y" * 257)]
)
def test_accounts_need_a_user_and_a_password(office: Office, user: str, password: str) -> None:
    with pytest.raises(ValueError, match="characters"):
        add_account(office.app, user, password, Unit.example())


def test_the_binding_page(office: Office) -> None:
    holder = office.member()
    holder.log_in()
    assert holder.client.get("/business", follow_redirects=False).headers["location"] == "/bind"
    shown = holder.client.get("/bind").text
    assert holder.unit.name in shown
    csrf = shown.split('name="csrf" value="')[1].split('"')[0]
    form = {"csrf": csrf, "user": holder.unit.number, "password": "wrong"}
    wrong = holder.client.post("/bind", data=form)
    assert wrong.status_code == 403
    assert "还可以再试 2 次" in wrong.text
    assert f'value="{holder.unit.number}"' in wrong.text
    assert "wrong" not in wrong.text
    done = holder.client.post("/bind", data=form | {"password": PASSWORD})
    assert done.url.path == "/business"
    assert "绑定成功" in done.text
    assert holder.unit.identifier in done.text

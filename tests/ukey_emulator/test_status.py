"""What the control port tells of a rack as it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dying_program import RW, Wire
from program import PIN, ROOM, SO_PIN

from ukey_emulator.rack.rack import Rack
from ukey_emulator.remote import Remote, SlotStatus
from ukey_emulator.terms import CKR, CKU

VERIFY = bytes.fromhex("0020008008") + b"123456\xff\xff"


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    with Rack(tmp_path, lasting=False) as made:
        made.keys.new(name="one", label="单位证书", tries=3)
        made.keys.new(name="two", initialized=False)
        yield made


@pytest.fixture
def remote(rack: Rack) -> Iterator[Remote]:
    with Remote(rack.path) as connected:
        yield connected


@pytest.fixture
def wire(rack: Rack) -> Iterator[Wire]:
    made = Wire(rack.path)
    made.C_GetSlotList(True, ROOM)
    made.C_GetSlotList(False, ROOM._replace(capacity=None))
    yield made
    made.end()


def slot(remote: Remote, number: int = 0) -> SlotStatus:
    return next(each for each in remote.status()["slots"] if each["slot"] == number)


def test_slots_and_keys(rack: Rack, remote: Remote) -> None:
    serial = rack.keys.list()[0].serial
    told = remote.status()
    assert (told["home"], told["keys"], told["programs"]) == (str(rack.path), 2, 0)
    assert told["slots"][0] == {
        "slot": 0,
        "name": "one",
        "key": "one",
        "reader": "ukeylab one 00 00",
        "label": "单位证书",
        "serial": serial,
        "user": {"left": 3, "tries": 3},
        "so": {"left": 3, "tries": 3},
        "programs": [],
        "card": False,
    }
    blank = told["slots"][1]
    assert (blank["label"], blank["user"], blank["so"]) == ("", None, None)
    rack.keys.unplug("two")
    rack.keys.unplug("one")
    rack.keys.plug("two", 0)
    assert (slot(remote)["name"], slot(remote)["key"]) == ("one", "two")
    assert (slot(remote, 1)["name"], slot(remote, 1)["key"]) == ("two", None)
    assert remote.status()["keys"] == 2


def test_programs_and_their_logins(remote: Remote, wire: Wire) -> None:
    assert remote.status()["programs"] == 1
    assert slot(remote)["programs"] == []
    sessions = [wire.C_OpenSession(0, RW, True) for _ in range(2)]
    (use,) = slot(remote)["programs"]
    assert (use["program"], use["sessions"], use["login"]) == ("killed", 2, None)
    for user, pin, told in ((CKU.USER, PIN, "user"), (CKU.SO, SO_PIN, "SO")):
        wire.C_Login(sessions[0], user, pin)
        assert slot(remote)["programs"][0]["login"] == told
        wire.C_Logout(sessions[0])
    assert slot(remote)["programs"][0]["login"] is None
    wire.C_CloseAllSessions(0)
    assert slot(remote)["programs"] == []


def test_tries_that_are_left(remote: Remote, wire: Wire) -> None:
    session = wire.C_OpenSession(0, RW, True)
    for left in (2, 1, 0):
        wire.call("C_Login", session, CKU.USER, b"wrong!")
        assert slot(remote)["user"] == {"left": left, "tries": 3}
    assert wire.call("C_Login", session, CKU.USER, PIN)[0] is CKR.PIN_LOCKED
    assert slot(remote)["so"] == {"left": 3, "tries": 3}


def test_a_card_s_login_is_told_apart(rack: Rack, remote: Remote, wire: Wire) -> None:
    chip = next(iter(rack.slots)).chip
    assert chip is not None
    card = rack._card(chip)
    card.power_on()
    assert card.transmit(VERIFY) == b"\x90\x00"
    assert slot(remote)["card"]
    session = wire.C_OpenSession(0, RW, True)
    wire.C_Login(session, CKU.USER, PIN)
    assert slot(remote)["card"]
    card.power_off()
    assert not slot(remote)["card"]
    assert slot(remote)["programs"][0]["login"] == "user"


def test_calls_are_counted(remote: Remote, wire: Wire) -> None:
    before = remote.status()["calls"]
    for _ in range(5):
        wire.C_GetSlotInfo(0, True)
    assert remote.status()["calls"] == before + 5

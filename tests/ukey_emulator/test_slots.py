"""Keys in slots of others, slots without a key, racks without a slot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from program import ROOM, Program, attributes

from ukey_emulator import module_path
from ukey_emulator.cryptoki.wire import Out
from ukey_emulator.rack.home import RackError
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.remote import RackProcess, Remote, RemoteError
from ukey_emulator.terms import CKF, CKO, CKR, CKU

UKEY = Path(sys.executable).with_name("ukey")


@pytest.fixture
def two(keyring: Keyring) -> Keyring:
    """Give a key `key` in slot 0 and `other` in slot 1."""
    keyring.new(name="other", label="other key")
    return keyring


def labels(program: Program) -> dict[int, bytes | None]:
    """Give the label of the token in each slot, None where there is none."""
    program.C_GetSlotList(False, Out(asked=True, capacity=None))
    found: dict[int, bytes | None] = {}
    for slot in program.C_GetSlotList(False, Out(asked=True, capacity=99)):
        there = bool(program.C_GetSlotInfo(slot, True)[96] & CKF.TOKEN_PRESENT)
        assert (program.rv("C_GetTokenInfo", slot, True) is CKR.OK) == there
        found[slot] = program.C_GetTokenInfo(slot, True)[:32].rstrip() if there else None
    return found


def test_another_key_in_a_slot_is_another_token(two: Keyring, program: Program) -> None:
    session = program.open(user=CKU.USER)
    mine = program.C_CreateObject(
        session, attributes(CLASS=int(CKO.DATA), TOKEN=True, LABEL="mine"), True
    )
    serial = program.C_GetTokenInfo(0, True)[80:96]
    two.unplug("key")
    two.unplug("other")
    assert two.plug("other", 0).slot == 0
    assert labels(program) == {0: b"other key", 1: None}
    assert program.C_GetTokenInfo(0, True)[80:96] != serial
    assert program.rv("C_GetSessionInfo", session, True) is CKR.DEVICE_REMOVED
    assert program.rv("C_GetSessionInfo", session, True) is CKR.SESSION_HANDLE_INVALID
    new = program.open()
    assert program.rv("C_Logout", new) is CKR.USER_NOT_LOGGED_IN
    assert program.rv("C_GetObjectSize", new, mine, True) is CKR.OBJECT_HANDLE_INVALID
    assert program.find(new, CLASS=int(CKO.DATA)) == []
    two.plug("key", 1)
    assert labels(program) == {0: b"other key", 1: b"test key"}
    assert len(program.find(program.open(1), LABEL="mine")) == 1


def test_every_exchange_is_an_event_of_its_slot(two: Keyring, program: Program) -> None:
    def events() -> list[int]:
        found = []
        while program.rv("C_GetSlotList", False, ROOM) is CKR.OK:
            code, results = program.face.call(
                program.application, "C_WaitForSlotEvent", (CKF.DONT_BLOCK, True, False)
            )
            if code == CKR.NO_EVENT:
                return sorted(found)
            found.append(results[0])
        return found

    two.unplug("key")
    two.plug("other", 0)  # it is pulled out of its own
    assert events() == [0, 1]
    two.unplug("other")
    two.plug("other")
    assert events() == [0, 1]
    assert events() == []


def test_where_a_key_is_shows(two: Keyring) -> None:
    two.unplug("key")
    two.plug("other", 0)
    two.plug("key", 1)
    assert [(info.name, info.slot) for info in two.list()] == [("key", 1), ("other", 0)]
    two.unplug("other")
    assert [(info.name, info.slot, info.plugged) for info in two.list()] == [
        ("key", 1, True),
        ("other", 1, False),
    ]


def test_a_slot_that_is_taken_or_none(two: Keyring) -> None:
    with pytest.raises(RackError, match="other is in slot 1: pull it out first"):
        two.plug("key", 1)
    with pytest.raises(RackError, match="there is no slot 7; there are: 0, 1") as none:
        two.plug("key", 7)
    assert none.value.code == "no_such_slot"
    two.unplug("key")
    two.plug("other", 0)
    with pytest.raises(RackError, match="other is in slot 0: pull it out first"):
        two.plug("key")
    with pytest.raises(RackError, match="other is in the slot of key: pull it out first"):
        two.remove("key")
    assert [(info.name, info.slot, info.plugged) for info in two.list()] == [
        ("key", 0, False),
        ("other", 0, True),
    ]
    two.remove("other")
    two.plug("key")
    two.remove("key")
    assert two.list() == []


def test_what_is_done_to_a_key_is_done_where_it_is(two: Keyring, program: Program) -> None:
    two.unplug("key")
    two.plug("other", 0)
    two.snapshot("other", "before")
    session = program.open(user=CKU.USER)
    program.C_CreateObject(session, attributes(CLASS=int(CKO.DATA), TOKEN=True), True)
    two.rewind("other", "before")
    assert labels(program) == {0: b"other key", 1: None}
    assert program.find(program.open(), CLASS=int(CKO.DATA)) == []
    two.reset("key")  # which is out and stays out
    assert labels(program) == {0: b"other key", 1: None}
    two.snapshot("key", "of-key")
    two.rewind("key", "of-key")
    assert labels(program) == {0: b"other key", 1: None}


# Through the control port and the commands, with the module


def ukey(rack: RackProcess, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [UKEY, *words],
        env={**os.environ, "UKEY_HOME": str(rack.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_by_the_command_line(rack: RackProcess, remote: Remote) -> None:
    for name in ("one", "two"):
        remote.new_key(name=name)
        remote.unplug(name)
    assert "two  slot 0" in ukey(rack, "key", "plug", "two", "--slot", "0")
    assert "two is in slot 0" in ukey(rack, "key", "plug", "one", "--slot", "0", code=1)
    assert [event["key"] for event in remote.events()][-1] == "two"
    with pytest.raises(RemoteError, match="there are: 0, 1") as refused:
        remote.plug("one", 9)
    assert refused.value.code == "no_such_slot"
    listed = subprocess.run(
        ["pkcs11-tool", "--module", str(module_path()), "-L"],
        env={**os.environ, "UKEY_HOME": str(rack.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Slot 0 (0x0): ukeylab slot of one" in listed.stdout
    assert listed.stdout.count("(empty)") == 1
    (serial,) = (key.serial for key in remote.keys() if key.name == "two")
    assert serial in listed.stdout


def test_another_key_in_a_reader_is_another_card(rack: RackProcess, remote: Remote) -> None:
    for name in ("one", "two"):
        remote.new_key(name=name)
    program = (
        "import sys\n"
        "from smartcard.scard import *\n"
        "SELECT, SERIAL = '00A4040005A000000308', '00F80000'\n"
        "def ask(card, apdu):\n"
        "    rv, answer = SCardTransmit(card, SCARD_PCI_T1, list(bytes.fromhex(apdu)))\n"
        "    return rv, bytes(answer).hex()\n"
        "_, context = SCardEstablishContext(SCARD_SCOPE_USER)\n"
        "def connect():\n"
        "    rv, card, _ = SCardConnect(\n"
        "        context, 'ukeylab one 00 00', SCARD_SHARE_SHARED, SCARD_PROTOCOL_T1)\n"
        "    assert rv == 0, rv\n"
        "    ask(card, SELECT)\n"
        "    return card\n"
        "card = connect()\n"
        "print(ask(card, SERIAL)[1], flush=True)\n"
        "sys.stdin.readline()\n"
        "print(ask(card, SERIAL)[0] == SCARD_W_REMOVED_CARD, flush=True)\n"
        "print(ask(connect(), SERIAL)[1], flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PCSCLITE_CSOCK_NAME": str(rack.readers_socket)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as card:
        assert card.stdout is not None
        before = card.stdout.readline()
        remote.unplug("one")
        remote.plug("two", 0)
        said, _ = card.communicate("go on\n", timeout=60)
    removed, after = said.split()
    assert removed == "True"
    assert before.strip().endswith("9000")
    assert after.endswith("9000")
    assert after != before.strip()


def test_a_rack_without_a_key() -> None:
    """A program that is there first sees the first slot come, with its key."""
    program = (
        "import ctypes, os, subprocess, sys\n"
        "from ctypes import byref, c_ulong\n"
        "module = ctypes.CDLL(os.environ['PKCS11_MODULE'])\n"
        "count, slot = c_ulong(9), c_ulong(9)\n"
        "assert module.C_Initialize(None) == 0\n"
        "for present in (0, 1):\n"
        "    assert module.C_GetSlotList(present, None, byref(count)) == 0\n"
        "    assert count.value == 0\n"
        "assert module.C_GetTokenInfo(c_ulong(0), (ctypes.c_char * 208)()) == 3\n"
        "assert module.C_WaitForSlotEvent(c_ulong(1), byref(slot), None) == 8\n"
        "assert 'UKEY_LABEL' not in os.environ and 'UKEY_PIN' not in os.environ\n"
        "subprocess.run([sys.argv[1], 'key', 'new'], check=True)\n"
        "assert module.C_WaitForSlotEvent(c_ulong(0), byref(slot), None) == 0\n"
        "assert slot.value == 0\n"
        "assert module.C_GetSlotList(1, None, byref(count)) == 0\n"
        "assert count.value == 1\n"
    )
    done = subprocess.run(
        [UKEY, "run", "--keys", "0", "--", sys.executable, "-c", program, UKEY],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_several_slots_through_pkcs11_tool() -> None:
    script = (
        'pkcs11-tool --module "$PKCS11_MODULE" -L && "$0" key unplug key-2 >/dev/null &&'
        ' pkcs11-tool --module "$PKCS11_MODULE" -L'
    )
    done = subprocess.run(
        [UKEY, "run", "--keys", "3", "--", "sh", "-c", script, UKEY],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.count("Slot ") == 6
    assert done.stdout.count("serial num") == 5
    assert done.stdout.count("(empty)") == 1

"""What the trace of a rack tells: the standard's words, the key, and all of it when asked for."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from program import PIN, ROOM, Program

from ukey_emulator import module_path
from ukey_emulator.cryptoki import readable
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.cryptoki.wire import Attribute, Mechanism
from ukey_emulator.profiles import Profile
from ukey_emulator.rack.rack import Rack
from ukey_emulator.remote import RackProcess, RemoteError
from ukey_emulator.terms import CKA, CKK, CKM, CKO, CKU

UKEY = str(Path(sys.executable).with_name("ukey"))
SECRET = b"a secret key, 24 bytes!!"


def number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def attribute(kind: int, value: bytes) -> Attribute:
    return Attribute(kind, value, len(value))


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    with Rack(tmp_path / "home", lasting=False) as rack:
        rack.keys.new(name="mine")
        yield rack


@pytest.fixture
def program(rack: Rack) -> Program:
    return Program(Face(rack._slots, rack.trace.note))


def work(program: Program) -> None:
    """Log in, bring a key, look for it and authenticate with it."""
    session = program.open(user=CKU.USER)
    program.C_CreateObject(
        session,
        [
            attribute(CKA.CLASS, number(CKO.SECRET_KEY)),
            attribute(CKA.KEY_TYPE, number(CKK.GENERIC_SECRET)),
            attribute(CKA.VALUE, SECRET),
            attribute(CKA.LABEL, "my key 钥".encode()),
            attribute(CKA.ID, b"\x0a\x0b"),
            attribute(CKA.SIGN, b"\1"),
        ],
        True,
    )
    program.C_FindObjectsInit(session, [attribute(CKA.CLASS, number(CKO.SECRET_KEY))])
    (key,) = program.C_FindObjects(session, ROOM)
    program.C_FindObjectsFinal(session)
    program.C_SignInit(session, Mechanism(CKM.SHA256_HMAC, None), key)
    program.C_Sign(session, b"the message", ROOM)
    program.C_CloseSession(session)


def lines(calls: list[dict[str, Any]]) -> list[str]:
    return [readable.line(call["function"], call["arguments"]) for call in calls]


def test_calls_are_told_in_the_words_of_the_standard(rack: Rack, program: Program) -> None:
    work(program)
    calls = rack.trace.since(0)
    session = calls[1]["arguments"]["session"]
    assert lines(calls)[:4] == [
        "C_OpenSession(slot=0, flags=CKF_SERIAL_SESSION|CKF_RW_SESSION)",
        f"C_Login(session={session}, user_type=CKU_USER, pin=***)",
        (
            f"C_CreateObject(session={session}, CKA_CLASS=CKO_SECRET_KEY, "
            "CKA_KEY_TYPE=CKK_GENERIC_SECRET, CKA_VALUE=24 bytes, CKA_LABEL=my key 钥, "
            "CKA_ID=0x0a0b, CKA_SIGN=CK_TRUE)"
        ),
        f"C_FindObjectsInit(session={session}, CKA_CLASS=CKO_SECRET_KEY)",
    ]
    assert {call["key"] for call in calls} == {"mine"}
    assert all("results" not in call for call in calls)
    told = json.dumps(calls)
    for secret in (PIN.decode(), SECRET.hex(), SECRET.decode(), b"the message".hex()):
        assert secret not in told


def test_all_of_it_is_told_at_traffic_and_that_it_was_asked_for(
    rack: Rack, program: Program
) -> None:
    work(program)
    before = rack.trace.last
    assert rack.tracing.level("traffic") == "traffic"
    session = program.open()  # the login is gone with the last session
    program.C_Login(session, CKU.USER, PIN)
    program.C_GenerateRandom(session, 8)
    program.C_CreateObject(
        session,
        [
            attribute(CKA.CLASS, number(CKO.SECRET_KEY)),
            attribute(CKA.KEY_TYPE, number(CKK.GENERIC_SECRET)),
            attribute(CKA.VALUE, SECRET),
        ],
        True,
    )
    assert rack.tracing.level("calls") == "calls"
    program.C_Logout(session)
    program.C_Login(session, CKU.USER, PIN)
    switched, opened, login, random, create, back, _, blank = rack.trace.since(before)
    assert (switched["function"], switched["arguments"]) == ("trace.level", {"level": "traffic"})
    assert opened["results"] == {"session": session}
    assert login["arguments"]["pin"] == PIN.decode()
    assert len(bytes.fromhex(random["results"]["random"])) == 8
    assert create["arguments"]["attributes"]["CKA_VALUE"] == f"0x{SECRET.hex()}"
    assert back["arguments"] == {"level": "calls"}
    assert blank["arguments"]["pin"] == "***"
    assert "results" not in blank
    earlier = json.dumps(rack.trace.since(0)[:before])
    assert SECRET.hex() not in earlier  # what was not asked for then is not there now


def test_a_card_is_told_whole_at_traffic(rack: Rack) -> None:
    (chip,) = [slot.chip for slot in rack._slots if slot.chip is not None]
    card = rack._card(chip)
    card.power_on()
    verify = b"\x00\x20\x00\x80\x08123456\xff\xff"
    card.transmit(verify)
    rack.tracing.level("traffic")
    answer = card.transmit(verify)
    blank, _, whole = rack.trace.since(0)
    assert (blank["key"], whole["key"]) == ("mine", "mine")
    assert "command" not in blank["arguments"]
    assert bytes.fromhex(whole["arguments"]["command"]) == verify
    assert bytes.fromhex(whole["results"]["answer"]) == answer[:-2]


def test_a_key_is_named_after_its_session_is_closed_and_it_is_gone(
    rack: Rack, program: Program
) -> None:
    session = program.open()
    rack.keys.remove("mine")
    program.rv("C_GetSessionInfo", session, True)
    calls = rack.trace.since(0)
    assert [(call["function"], call["key"]) for call in calls] == [
        ("C_OpenSession", None),  # that slot is gone
        ("C_GetSessionInfo", "mine"),
    ]


@pytest.fixture(scope="module")
def running() -> Iterator[RackProcess]:
    with RackProcess.start() as running, running.remote() as remote:
        remote.new_key(name="mine", label="mine")
        yield running


def ukey(running: RackProcess, *words: str | Path, code: int = 0) -> str:
    done = subprocess.run(
        [UKEY, *map(str, words)],
        env={**os.environ, "UKEY_HOME": str(running.home), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def tool(running: RackProcess, *words: str) -> None:
    command = ["pkcs11-tool", "--module", module_path(), "--login", "--pin", "123456", *words]
    environment = {**os.environ, "UKEY_HOME": str(running.home)}
    subprocess.run(command, env=environment, capture_output=True, timeout=60, check=True)


def test_the_command_shows_writes_and_switches(running: RackProcess, tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    assert ukey(running, "trace", "--level", "traffic") == "the trace tells traffic\n"
    tool(running, "--list-objects")
    assert ukey(running, "trace", "--level", "calls", "--json") == '{"level": "calls"}\n'
    tool(running, "--list-objects")
    ukey(running, "trace", "--out", file)
    header, *calls = [json.loads(line) for line in file.read_text().splitlines()]
    assert (header["ukey"], header["version"], header["level"]) == ("trace", 1, "calls")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    logins = [call["arguments"]["pin"] for call in calls if call["function"] == "C_Login"]
    assert logins == ["123456", "***"]
    shown = ukey(running, "trace")
    assert shown == ukey(running, "trace", file)
    assert "mine C_Login(session=" in shown
    assert "rack trace.level(level=traffic) = CKR_OK" in shown
    assert "FILE goes with" in ukey(running, "trace", "--follow", file, code=2)


def test_a_trace_that_was_cut_short_is_shown_as_far_as_it_goes(
    running: RackProcess, tmp_path: Path
) -> None:
    file = tmp_path / "trace.jsonl"
    tool(running, "--list-objects")
    ukey(running, "trace", "--out", file)
    shown = ukey(running, "trace", file)
    file.write_text(file.read_text()[:-20])
    assert ukey(running, "trace", file).splitlines() == shown.splitlines()[:-1]


def test_a_trace_of_another_version_is_refused(running: RackProcess, tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    file.write_text('{"ukey": "trace", "version": 2}\n')
    assert "is a trace of version 2; 1 is read here" in ukey(running, "trace", file, code=1)


def test_a_level_that_there_is_not_is_refused(running: RackProcess) -> None:
    with running.remote() as remote:
        with pytest.raises(RemoteError, match="there are: calls, traffic"):
            remote.trace_level("all")
        assert remote.trace_level() == "calls"


def test_a_recording_is_shown_and_gives_a_profile_its_times(
    running: RackProcess, tmp_path: Path
) -> None:
    file = tmp_path / "recording.jsonl"
    words = ("--keypairgen", "--key-type", "rsa:2048", "--label", "made", "--id", "07")
    program = ("sh", "-c", 'pkcs11-tool --module "$PKCS11_MODULE" --login --pin 123456 "$@"', "sh")
    ukey(running, "record", "--module", module_path(), "--out", file, "--", *program, *words)
    shown = ukey(running, "trace", file)
    assert "mechanism=CKM_RSA_PKCS_KEY_PAIR_GEN" in shown
    assert "CKA_MODULUS_BITS=2048" in shown
    assert "pin=***" in shown
    assert json.loads(ukey(running, "trace", "--json", file).splitlines()[0])["n"] == 1
    profile = tmp_path / "timed.toml"
    profile.write_text(ukey(running, "trace", "--timing", file))
    timing = Profile.load(str(profile)).identity.timing
    (made,) = [each for each in timing if each.what == "C_GenerateKeyPair"]
    assert (made.mechanism, made.bits) == (CKM.RSA_PKCS_KEY_PAIR_GEN, 2048)
    assert made.seconds > 0

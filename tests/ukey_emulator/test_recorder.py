"""What the recording module writes at each level, from whom, and what it never writes."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from ctypes import byref, c_ubyte, c_ulong
from pathlib import Path

import module_host as host
import pytest
from module_host import ScriptedFace, attributes, mechanism, structure
from recorded_module import RecordedModule

import ukey_emulator
from ukey_emulator.chip.objects.rules import TABLES, Note
from ukey_emulator.cryptoki.secrets import SECRETS
from ukey_emulator.cryptoki.wire import FUNCTIONS, Attribute, Mechanism, Misfit
from ukey_emulator.recording.file import Recording
from ukey_emulator.terms import CKA, CKM, CKO

S = 7  # a session
PIN, KEY, DATA = b"the-pin!", b"the-secret-key..", b"the-data"
LABEL = b"a label"
SECRET_KEY = int(CKO.SECRET_KEY).to_bytes(8, "little")


@pytest.fixture
def face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedFace]:
    monkeypatch.setenv("UKEY_HOME", str(tmp_path / "home"))
    face = ScriptedFace()
    face.answers["C_Sign"] = (host.OK, (b"signed",))
    face.answers["C_GetAttributeValue"] = (host.OK, ([(16, KEY)],))
    with host.running(tmp_path / "home", face):
        yield face


def work(module: RecordedModule) -> None:
    """Hand over a PIN, a key, a password and data, and get a signature and a key."""
    assert module.C_Initialize(None) == host.OK
    assert module.C_Login(S, 1, PIN, len(PIN)) == host.OK
    template = attributes((CKA.CLASS, SECRET_KEY), (CKA.LABEL, LABEL), (CKA.VALUE, KEY))
    assert module.C_CreateObject(S, template, 3, byref(c_ulong())) == host.OK
    password = structure(
        salt_source=1, salt=b"salt", salt_len=4, iterations=1000, prf=1, data=None, data_len=0,
        password=PIN, password_len=len(PIN),
    )  # fmt: skip
    derive = mechanism(CKM.PKCS5_PBKD2, password)
    assert module.C_GenerateKey(S, derive, attributes(), 0, byref(c_ulong())) == host.OK
    length = c_ulong(8)
    assert module.C_Sign(S, DATA, len(DATA), (c_ubyte * 8)(), byref(length)) == host.OK
    value = ctypes.create_string_buffer(16)
    asked = attributes((CKA.VALUE, (value, 16)))
    assert module.C_GetAttributeValue(S, 5, asked, 1) == host.OK
    assert module.C_Finalize(None) == host.OK


@pytest.mark.parametrize(
    ("level", "given", "received"),
    [
        ("calls", set(), set()),
        ("replay", {DATA}, {b"signed", KEY}),
        ("traffic", {DATA, PIN, KEY}, {b"signed", KEY}),
    ],
)
def test_a_level_leaves_out_what_it_says(
    tmp_path: Path, face: ScriptedFace, level: str, given: set[bytes], received: set[bytes]
) -> None:
    module = RecordedModule(tmp_path, level)
    work(module)
    assert face.calls[0][1] == (S, 1, PIN)  # the face gets it all, whatever is written
    calls = module.recording()
    asked = b"".join(call.request or b"" for call in calls)
    answered = b"".join(call.answer or b"" for call in calls)
    assert {each for each in (DATA, PIN, KEY) if each in asked} == given
    assert {each for each in (b"signed", KEY) if each in answered} == received
    assert LABEL in asked


def test_what_is_left_out_keeps_its_shape(tmp_path: Path, face: ScriptedFace) -> None:
    assert face.calls == []
    module = RecordedModule(tmp_path, "calls")
    work(module)
    calls = {call.function.name: call for call in module.recording()}
    assert calls["C_Login"].arguments == (S, 1, b"")
    assert calls["C_CreateObject"].arguments[1] == [
        Attribute(CKA.CLASS, SECRET_KEY, 8),
        Attribute(CKA.LABEL, LABEL, len(LABEL)),
        Attribute(CKA.VALUE, None, len(KEY)),
    ]
    assert calls["C_GenerateKey"].arguments[1] == Mechanism(CKM.PKCS5_PBKD2, Misfit(72))
    assert calls["C_Sign"].arguments[1] == bytes(len(DATA))
    assert calls["C_Sign"].results == (6,)
    assert calls["C_GetAttributeValue"].results == ([(16, None)],)


def test_the_secret_attributes_are_those_of_the_tables() -> None:
    noted = {what for table in TABLES.values() for what in table.noted[Note.SECRET]}
    assert noted == SECRETS


def test_each_interface_has_the_functions_of_its_version(tmp_path: Path) -> None:
    for version, since in (((2, 40), 240), ((3, 0), 300), ((3, 2), 320)):
        folder = tmp_path / f"{since}"
        folder.mkdir()
        module = RecordedModule(folder, "calls", version)
        for function in FUNCTIONS.values():
            if function.since <= since:
                assert module._functions[function.number], function.name
        assert module.C_Login(S, 1, None, 0) == host.NOT_INITIALIZED
        (call,) = module.recording()
        assert (call.function.name, call.rv) == ("C_Login", host.NOT_INITIALIZED)


FORKING = """
import ctypes, os, sys, threading
word = ctypes.c_ulong
table = ctypes.POINTER(ctypes.c_void_p)()
assert ctypes.CDLL(sys.argv[1]).C_GetFunctionList(ctypes.byref(table)) == 0
def call(number, *arguments):
    return ctypes.CFUNCTYPE(word)(table[number])(*arguments)
def work(session):
    for _ in range(200):
        call(40, word(session), bytes(range(256)) * 20, word(5120))
call(1, None)
children = []
for number in range(3):
    child = os.fork()
    if not child:
        call(1, None)
        work(100 + number)
        os._exit(0)
    children.append(child)
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for child in children: assert os.waitpid(child, 0)[1] == 0
call(2, None)
"""


def run(home: Path, program: str, file: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "UKEY_HOME": str(home),
        "UKEY_RECORD_MODULE": ukey_emulator.module_path(),
        "UKEY_RECORD_FILE": str(file),
        "UKEY_RECORD_LEVEL": "replay",
    }
    command = [sys.executable, "-c", program, ukey_emulator.record_module_path()]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_threads_and_children_write_whole_lines(tmp_path: Path, face: ScriptedFace) -> None:
    file = tmp_path / "recording"
    file.write_text('{"ukey": "recording", "version": 1, "level": "replay"}\n')
    done = run(tmp_path / "home", FORKING, file)
    assert (done.returncode, done.stderr) == (0, "")
    calls = [call for call in Recording.read(file).calls if not call.function.local]
    by_session = dict.fromkeys((0, 1, 2, 3, 100, 101, 102), 0)
    for call in calls:
        assert call.arguments[1] == bytes(range(256)) * 20
        by_session[call.arguments[0]] += 1
    assert set(by_session.values()) == {200}
    assert len(face.calls) == 1400
    assert len({call.pid for call in calls}) == 4
    for pid in {call.pid for call in calls}:
        own = [call.n for call in calls if call.pid == pid]
        assert len(set(own)) == len(own)


def test_a_file_that_cannot_be_written_keeps_nobody_from_working(
    tmp_path: Path, face: ScriptedFace
) -> None:
    done = run(tmp_path / "home", FORKING, tmp_path / "no" / "folder")
    assert done.returncode == 0
    assert "a line could not be written" in done.stderr
    assert len(face.calls) == 1400

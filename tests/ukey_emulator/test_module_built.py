"""How the C modules are built, and the recorder that stands before another module."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import module_host as host
import pytest
from module_host import ScriptedFace

import ukey_emulator
from ukey_emulator.cryptoki.wire import FUNCTIONS

BUILD = Path(__file__).parents[2] / "emulator" / "module" / "build.py"


def exported(library: str) -> set[str]:
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True
    )
    return {line.split()[-1] for line in listing.stdout.splitlines()}


def test_the_module_exports_the_functions_of_the_standard_and_nothing_else() -> None:
    assert exported(ukey_emulator.module_path()) == {f.name for f in FUNCTIONS.values()}
    assert exported(ukey_emulator.record_module_path()) == {
        "C_GetFunctionList",
        "C_GetInterface",
        "C_GetInterfaceList",
    }


def test_the_module_needs_no_library_but_libc() -> None:
    for path in (ukey_emulator.module_path(), ukey_emulator.record_module_path()):
        headers = subprocess.run(
            ["objdump", "-p", path], capture_output=True, text=True, check=True
        )
        needed = set(re.findall(r"NEEDED\s+(\S+)", headers.stdout))
        assert needed <= {"libc.so.6", "libpthread.so.0", "libdl.so.2"}


def test_the_sources_compile_without_a_warning(tmp_path: Path) -> None:
    package = tmp_path / "emulator"
    shutil.copytree(BUILD.parent, package / "module")
    tables = Path(ukey_emulator.__file__).parent / "cryptoki"
    (package / "ukey_emulator" / "cryptoki").mkdir(parents=True)
    for table in tables.glob("*.def"):
        shutil.copy(table, package / "ukey_emulator" / "cryptoki")
    environment = {**os.environ, "CFLAGS": "-Werror -Wpedantic -Wshadow -Wconversion"}
    command = [sys.executable, str(package / "module" / "build.py")]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (package / "ukey_emulator" / "libukeypkcs11.so").exists()
    without = subprocess.run(
        command,
        env={**os.environ, "CC": "no-such-compiler"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert without.returncode != 0
    assert "no C compiler 'no-such-compiler'" in without.stderr
    assert "Traceback" not in without.stderr


RECORDED = """
import ctypes, sys
functions = ctypes.POINTER(ctypes.c_void_p)()
recorder = ctypes.CDLL(sys.argv[1])
recorder.C_GetFunctionList.restype = ctypes.c_ulong
rv = recorder.C_GetFunctionList(ctypes.byref(functions))
if rv:
    sys.exit(rv)
word = ctypes.c_ulong
def call(number, *arguments):
    return ctypes.CFUNCTYPE(word)(functions[number])(*arguments)
call(1, None)
call(19, word(7), word(1), b"secret-pin", word(10))
length = word(4)
call(44, word(7), b"data", word(4), ctypes.create_string_buffer(4), ctypes.byref(length))
call(2, None)
sys.exit(0 if length.value == 3 else 1)
"""


def record(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RECORDED, ukey_emulator.record_module_path()]
    variables = {**os.environ, "UKEY_HOME": str(home), **environment}
    return subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=30, check=False
    )


def test_the_recorder_writes_a_line_for_each_call_and_no_secret(tmp_path: Path) -> None:
    face = ScriptedFace()
    pin_incorrect = 0xA0
    face.answers["C_Login"] = (pin_incorrect, ())
    face.answers["C_Sign"] = (host.OK, (b"abc",))
    written = tmp_path / "calls"
    with host.running(tmp_path / "home", face):
        done = record(
            tmp_path / "home",
            UKEY_RECORD_MODULE=ukey_emulator.module_path(),
            UKEY_RECORD_FILE=str(written),
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert face.calls[0] == ("C_Login", (7, 1, b"secret-pin"))
    lines = [json.loads(line) for line in written.read_text().splitlines()]
    assert [(line["n"], line["function"], line["rv"]) for line in lines] == [
        (1, "C_Initialize", 0),
        (2, "C_Login", pin_incorrect),
        (3, "C_Sign", 0),
        (4, "C_Finalize", 0),
    ]
    assert all(
        set(line) == {"time", "pid", "tid", "program", "n", "function", "rv", "us"}
        for line in lines
    )
    assert all(0 <= line["us"] < 10_000_000 for line in lines)
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert "secret" not in written.read_text()


@pytest.mark.parametrize(
    ("module", "complaint"),
    [
        ("", "UKEY_RECORD_MODULE must name"),
        ("/no/such/module.so", "cannot be loaded: /no/such/module.so"),
        ("libc.so.6", "gives no list of functions: libc.so.6"),
    ],
)
def test_a_recorder_without_a_module_says_so(tmp_path: Path, module: str, complaint: str) -> None:
    done = record(tmp_path / "home", UKEY_RECORD_MODULE=module)
    assert done.returncode == host.GENERAL_ERROR
    assert complaint in done.stderr


SHADOWED = """
import ctypes, sys
tables = []
for path, mode in zip(sys.argv[1:], (ctypes.RTLD_GLOBAL, ctypes.RTLD_LOCAL)):
    table = ctypes.POINTER(ctypes.c_void_p)()
    assert ctypes.CDLL(path, mode=mode).C_GetFunctionList(ctypes.byref(table)) == 0
    tables.append({table[number] for number in range(1, 69)})
sys.exit(0 if tables[0].isdisjoint(tables[1]) else 1)
"""


def test_a_module_that_another_one_shadows_still_calls_itself(tmp_path: Path) -> None:
    """A program may have loaded another PKCS#11 module for all to see; its C_* are not ours.

    In a process of its own: what is loaded for all to see would shadow every module after it.
    """
    copy = shutil.copy(ukey_emulator.module_path(), tmp_path / "copy.so")
    command = [sys.executable, "-c", SHADOWED, ukey_emulator.module_path(), str(copy)]
    subprocess.run(command, timeout=30, check=True)

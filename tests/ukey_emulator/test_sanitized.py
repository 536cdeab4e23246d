"""The module under AddressSanitizer and UndefinedBehaviorSanitizer: a part of ci/sanitize."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PART = [
    "tests/ukey_emulator/test_module_calls.py",
    "tests/ukey_emulator/test_module_life.py",
    "tests/ukey_emulator/test_module_faults.py",
    "tests/foreign/test_pkcs11_tool.py",
]

# More attributes than there are: what the module itself reads beyond them, a sanitizer sees.
LIAR = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import module_host as host

def test_liar(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("UKEY_HOME", str(tmp_path / "home"))
    with host.running(tmp_path / "home", host.ScriptedFace()):
        module = host.Module(tmp_path)
        assert module.C_Initialize(None) == host.OK
        module.C_FindObjectsInit(1, host.attributes((1, b"true")), 1000)
        assert module.C_Finalize(None) == host.OK
"""


def sanitize(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "LD_"))}
    return subprocess.run(
        [ROOT / "ci" / "sanitize", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


def test_the_module_survives_its_own_tests_and_a_foreign_program() -> None:
    done = sanitize(*PART)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing found" in done.stderr


def test_what_a_sanitizer_finds_is_a_failure(tmp_path: Path) -> None:
    liar = tmp_path / "test_liar.py"
    liar.write_text(LIAR.format(here=str(Path(__file__).parent)))
    done = sanitize(liar)
    assert done.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in done.stderr, done.stdout + done.stderr

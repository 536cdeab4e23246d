"""pip as judge: the wheel in a virtual environment of its own, used from another folder."""

import os
import subprocess
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 300  # pip fetches some fifty packages when its cache is cold


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program that sees nothing of the environment that runs these tests."""
    hidden = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UKEY_HOME", "PKCS11_MODULE")
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name not in hidden},
        check=False,
    )
    assert done.returncode == 0, f"$ {' '.join(map(str, command))}\n{done.stdout}"
    return done.stdout


@pytest.mark.timeout(2 * SECONDS)
def test_pip_installs_a_ukey_that_works_from_any_folder(tmp_path: Path) -> None:
    environment, elsewhere = tmp_path / "venv", tmp_path / "elsewhere"
    elsewhere.mkdir()
    venv.create(environment, with_pip=True)
    python, ukey = environment / "bin" / "python", environment / "bin" / "ukey"
    run(python, "-m", "pip", "install", "--quiet", ROOT, cwd=elsewhere)

    assert "run" in run(ukey, "--help", cwd=elsewhere)
    module = Path(run(ukey, "module", cwd=elsewhere).strip())
    assert module.is_relative_to(environment)
    run(ukey, "run", "--", "true", cwd=elsewhere)
    tool = ("pkcs11-tool", "--module", module, "--list-token-slots")
    assert "token initialized" in run(ukey, "run", "--", *tool, cwd=elsewhere)

    example = elsewhere / "test_example.py"
    example.write_text(
        "import pytest\n"
        "@pytest.mark.ukey(profile='hebca-rsa', tries=3)\n"
        "def test_key(ukey):\n"
        "    ukey.run(['pkcs11-tool', '--module', ukey.module, '--list-slots'], check=True)\n"
        "    ukey.trace.assert_called('C_GetTokenInfo', program='pkcs11-tool')\n"
        "    assert ukey.tries_left == 3\n"
    )
    told = run(python, "-m", "pytest", "-q", example, cwd=elsewhere)
    assert "1 passed" in told
    assert not (ROOT / "build").exists(), "pip left a folder in the source tree"

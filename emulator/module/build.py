"""Compiles the C modules into the package; run it by hand after a change of the C sources.

CC names another compiler, CFLAGS and LDFLAGS add to the flags, an argument names another folder.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "ukey_emulator"
TABLES = PACKAGE / "cryptoki"

MODULES = {
    "libukeypkcs11.so": [
        "libukeypkcs11.c",
        "connection.c",
        "dial.c",
        "epoch.c",
        "recall.c",
        "request.c",
        "answer.c",
        "layout.c",
        "frame.c",
    ],
    "libukeyrecord.so": [
        "record.c",
        "record_entry.c",
        "record_answer.c",
        "request.c",
        "layout.c",
        "frame.c",
    ],
}

COMPILER_FLAGS = [
    "-std=c11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-fPIC",
    "-pthread",
    "-fvisibility=hidden",
    "-fstack-protector-strong",
    "-U_FORTIFY_SOURCE",
    "-D_FORTIFY_SOURCE=2",
]
LINKER_FLAGS = ["-shared", "-Wl,-Bsymbolic", "-Wl,-z,relro", "-Wl,-z,now", "-ldl"]


class BuildError(Exception):
    """The modules cannot be compiled; the message says what to do."""


def compile_modules(folder: Path, version: str, *, always: bool = False) -> list[Path]:
    """Compile both modules into a folder, where they are older than what they are made from.

    `version` is that of ukeylab ("0.1.0"), which C_GetInfo tells. Raises BuildError.
    """
    inputs = [*HERE.glob("*.[ch]"), *TABLES.glob("*.def"), Path(__file__)]
    newest = max(path.stat().st_mtime for path in inputs)
    built = []
    for name, sources in MODULES.items():
        target = folder / name
        if always or not target.exists() or target.stat().st_mtime < newest:
            _compile(target, sources, version)
        built.append(target)
    return built


def _compile(target: Path, sources: list[str], version: str) -> None:
    major, minor = version.split(".")[:2]
    compiler = shlex.split(os.environ.get("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        raise BuildError(
            f"ukeylab's PKCS#11 module is made from C, and there is no C compiler {compiler[0]!r}: "
            "install one (on Debian: apt-get install gcc libc6-dev), or name yours in CC"
        )
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        made = Path(scratch) / target.name
        command = [
            *compiler,
            *COMPILER_FLAGS,
            *shlex.split(os.environ.get("CFLAGS", "")),
            f"-I{TABLES}",
            f"-DLIBRARY_MAJOR={major}",
            f"-DLIBRARY_MINOR={minor}",
            "-o",
            str(made),
            *(str(HERE / source) for source in sources),
            *LINKER_FLAGS,
            *shlex.split(os.environ.get("LDFLAGS", "")),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise BuildError(f"{shlex.join(command)} failed:\n{done.stderr}")
        if done.stderr:
            sys.stderr.write(done.stderr)
        made.replace(target)  # programs that run keep the old one


if __name__ == "__main__":
    from importlib.metadata import PackageNotFoundError, version

    try:
        ours = version("ukeylab")
    except PackageNotFoundError:
        ours = "0.0"
    try:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGE
        for path in compile_modules(folder, ours, always=True):
            sys.stdout.write(f"{path}\n")
    except BuildError as fault:
        sys.exit(str(fault))

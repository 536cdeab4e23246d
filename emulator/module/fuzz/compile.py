"""Compiles the module's fuzz target, with AddressSanitizer and UndefinedBehaviorSanitizer.

compile.py replay TARGET      runs inputs from standard input; any C compiler (CC)
compile.py exchange TARGET    looks for new inputs; libFuzzer, so clang (CC)
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULE = HERE.parent
sys.path.insert(0, str(MODULE))
from build import MODULES, TABLES  # noqa: E402

TARGET = ["wild.c", "socket.c", "exchange.c"]
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]
SANITIZERS = "address,undefined"
# The functions of libc that socket.c has in their place.
REPLACED = re.findall(r"^WRAP\(\w+, (\w+)", (HERE / "socket.c").read_text(), re.MULTILINE)


def compile_target(kind: str, made: Path) -> None:
    """Compile `replay` or `exchange` into a program; subprocess.CalledProcessError if it fails."""
    looks = kind == "exchange"
    own = [] if looks else ["replay.c"]
    tested = MODULES["libukeypkcs11.so"]
    sources = [*(HERE / name for name in TARGET + own), *(MODULE / name for name in tested)]
    command = [
        *shlex.split(os.environ.get("CC") or ("clang" if looks else "cc")),
        *("-std=c11", "-g", "-O1", *WARNINGS, f"-I{MODULE}", f"-I{TABLES}"),
        *("-DLIBRARY_MAJOR=0", "-DLIBRARY_MINOR=0", "-pthread"),
        f"-fsanitize={SANITIZERS}" + (",fuzzer" if looks else ""),
        "-fno-sanitize-recover=all",
        *map(str, sources),
        "-Wl," + ",".join(f"--wrap={name}" for name in REPLACED),
        *("-o", str(made)),
    ]
    subprocess.run(command, check=True, timeout=300)


if __name__ == "__main__":
    compile_target(sys.argv[1], Path(sys.argv[2]))

"""The compiler's part: cut.c as a library to be preloaded."""

import subprocess
from pathlib import Path

_WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Werror")


def compiled(folder: Path) -> Path:
    """Compile it into a folder; give its path."""
    library = folder / "cut.so"
    source = Path(__file__).with_name("cut.c")
    command = ["cc", "-std=c11", "-O1", "-shared", "-fPIC", "-pthread", *_WARNINGS]
    subprocess.run([*command, "-o", str(library), str(source), "-ldl"], check=True, timeout=60)
    return library

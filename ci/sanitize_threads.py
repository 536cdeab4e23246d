"""Plays the scenes of threads and forks (tests/ukey_emulator/threads) under ThreadSanitizer.

sanitize_threads.py FOLDER    with the module in it, built with -fsanitize=thread
"""

import os
import subprocess
import sys
from pathlib import Path

from ukey_emulator.remote import RackProcess

ROOT = Path(__file__).resolve().parents[1]
# The others measure files, memory or times at exit, to which the runtime adds its own.
SCENES = ("initialise", "finalise", "waiting", "mutexes", "forks", "children", "processes")
# A page is mapped over another one while threads read from that place: the kernel does it in one
# step (epoch.c), of which the runtime knows nothing.
SUPPRESSED = "race:epoch_take\nrace:epoch_drop\n"
FOUND = 66


def compile_scenes(program: Path) -> None:
    """Compile the program that plays the scenes."""
    headers = ("emulator/module", "emulator/ukey_emulator/cryptoki")
    command = ["cc", "-std=c11", "-O1", "-g", "-pthread", "-fsanitize=thread"]
    command += [f"-I{ROOT / folder}" for folder in headers]
    sources = sorted((ROOT / "tests/ukey_emulator/threads").glob("*.c"))
    subprocess.run([*command, "-o", program, *sources, "-ldl"], check=True, timeout=120)


def play(folder: Path) -> list[str]:
    """Play all scenes before a real rack; give the names of those that did not go well."""
    suppressions = folder / "suppressions"
    suppressions.write_text(SUPPRESSED)
    options = f"exitcode={FOUND}:die_after_fork=0:suppressions={suppressions}:print_suppressions=0"
    failed = []
    with RackProcess.start() as rack, rack.remote() as remote:
        remote.new_key()
        environment = {**os.environ, "UKEY_HOME": str(rack.home), "TSAN_OPTIONS": options}
        for name in SCENES:
            # a fixed layout of memory is what older runtimes want
            command = ["setarch", "-R", folder / "scene", folder / "libukeypkcs11.so", name]
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, timeout=300, check=False
            )
            if done.returncode != 0:
                failed.append(name)
    return failed


if __name__ == "__main__":
    here = Path(sys.argv[1])
    compile_scenes(here / "scene")
    failures = play(here)
    sys.exit(f"failed under ThreadSanitizer: {', '.join(failures)}" if failures else 0)

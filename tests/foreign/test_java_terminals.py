"""Java's own PC/SC, javax.smartcardio, as judge of the readers."""

import os
import subprocess
from pathlib import Path

from ukey_emulator.remote import RackProcess

PROGRAM = Path(__file__).parent / "java" / "WatchTerminals.java"
# Two cores are shared by all tests: a short-lived Java gains nothing from its better compiler.
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")
PROPERTIES = "611e4f0600001000010079074f05a000000308500b756b65796c6162205049569000"
DISCOVERY = "7e124f0ba0000003080000100001005f2f0240009000"
SECONDS = 60


def libpcsclite() -> Path:
    """Give the path of the library, which Java looks for where Debian does not have it."""
    (found,) = Path("/usr/lib").glob("*/libpcsclite.so.1")
    return found


def until(program: "subprocess.Popen[str]", last: str) -> list[str]:
    """Read what the program tells up to this line, or all if it never comes."""
    assert program.stdout
    told: list[str] = []
    for line in program.stdout:
        told.append(line.rstrip("\n"))
        if told[-1] == last:
            break
    return told


def go_on(program: "subprocess.Popen[str]") -> None:
    """Let the program go on: what it waited for has been done."""
    assert program.stdin
    program.stdin.write("\n")
    program.stdin.flush()


def test_java_connects_transmits_and_sees_what_changes(rack: RackProcess) -> None:
    environment = {**os.environ, "PCSCLITE_CSOCK_NAME": str(rack.readers_socket)}
    library = f"-Dsun.security.smartcardio.library={libpcsclite()}"
    with rack.remote() as remote:
        key = remote.new_key(name="watched")
        try:
            program = subprocess.Popen(
                ("java", *QUICK, library, PROGRAM),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
            )
            with program:
                told = until(program, "take it out")
                remote.unplug(key.name)
                go_on(program)
                told += until(program, "put it back")
                remote.plug(key.name)
                told += program.communicate("\n", SECONDS)[0].splitlines()
        finally:
            remote.remove(key.name)
    assert told == [
        "terminal ukeylab watched 00 00",
        "ATR 3b8b800180f9a00000030800001000c8",
        f"SELECT {PROPERTIES}",
        f"GET DATA {DISCOVERY}",
        "take it out",
        "out true 1",
        "refused SCARD_W_REMOVED_CARD",
        "put it back",
        "in true 1",
        f"SELECT {PROPERTIES}",
    ]
    assert program.returncode == 0

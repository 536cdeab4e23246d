"""The process in whose children racks and programs are cut, as tests ask it."""

import json
import os
import subprocess
import sys
from pathlib import Path


class Host:
    """The process in whose children racks and programs are cut; see cut_host.py."""

    def __init__(self, shim: Path, *broken: str) -> None:
        program = Path(__file__).with_name("cut_host.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program), *broken],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "LD_PRELOAD": str(shim)},
        )

    def ask(self, **command: object) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def stop(self) -> None:
        self._process.communicate(timeout=30)

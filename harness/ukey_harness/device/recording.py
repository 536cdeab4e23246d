"""The calls of a module that is not ours, as the recording module writes them down."""

import json
from pathlib import Path

from ukey_harness.verdicts.record import Call


class Recording:
    """Puts the recording module between programs and a vendor's, and reads what it wrote.

    Each call is one JSON line: n, function, rv (a number or a name), us, pid. Where the recording
    module has not been built, programs get the vendor's module itself and `missing` says so.
    """

    def __init__(self, module: str, file: Path) -> None:
        from ukey_emulator import record_module_path  # noqa: PLC0415 - built with the emulator

        self.missing = ""
        self.environment: dict[str, str] = {}
        try:
            self.module = str(record_module_path())
            self.environment = {"UKEY_RECORD_MODULE": module, "UKEY_RECORD_FILE": str(file)}
        except FileNotFoundError as error:
            self.module, self.missing = module, f"没有调用记录：{error}"
        self._file = file
        self._read = 0

    def calls(self) -> list[Call]:
        """Return the calls since the last time; a line that is still being written waits."""
        try:
            with self._file.open("rb") as stream:
                stream.seek(self._read)
                content = stream.read()
        except FileNotFoundError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        return [_call(line) for line in whole.splitlines()]


def _call(line: bytes) -> Call:
    try:
        entry = json.loads(line)
        return Call(function=entry["function"], rv=str(entry["rv"]), us=int(entry["us"]))
    except (ValueError, KeyError, TypeError):
        return Call(function="(unreadable line)", rv="", us=0)

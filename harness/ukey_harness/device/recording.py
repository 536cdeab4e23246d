"""The calls of a module that is not ours, as the recording module writes them down."""

import json
from pathlib import Path

from ukey_harness.cryptoki.returns import return_name
from ukey_harness.verdicts.record import Call


class Recording:
    """Puts the recording module between programs and a vendor's, and reads what it wrote.

    Each call is one JSON line: n, function, rv (a number or a name), us, pid. Where the recording
    module has not been built, programs get the vendor's module itself and `missing` says so.
    """

    def __init__(self, module: str, folder: Path) -> None:
        from ukey_emulator import record_module_path  # noqa: PLC0415 - built with the emulator

        self.missing = ""
        self._vendors = module
        self._folder = folder
        self._file = folder
        self._files = 0
        self._read = 0
        try:
            self.module = str(record_module_path())
        except FileNotFoundError as error:
            self.module, self.missing = module, f"没有调用记录：{error}"

    def begin(self) -> dict[str, str]:
        """Begin a new file, for a new key; return the variables that programs must find.

        Calls that were not read yet are lost: read them first.
        """
        if self.missing:
            return {}
        if self._files:
            self._file.unlink(missing_ok=True)
        self._files += 1
        self._file = self._folder / f"calls-{self._files}.jsonl"
        self._read = 0
        return {"UKEY_RECORD_MODULE": self._vendors, "UKEY_RECORD_FILE": str(self._file)}

    def calls(self) -> list[Call]:
        """Return the calls since the last time; a line that is still being written waits."""
        if not self._files:
            return []
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
        rv = entry["rv"]
        name = return_name(rv) if isinstance(rv, int) else str(rv)
        return Call(function=str(entry["function"]), rv=name, us=int(entry["us"]))
    except (ValueError, KeyError, TypeError):
        return Call(function="(unreadable line)", rv="", us=0)

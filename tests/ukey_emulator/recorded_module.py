"""The recording module before a copy of ours, in this process, and what it wrote."""

import ctypes
import os
import shutil
from ctypes import POINTER, byref, c_ulong, c_void_p
from pathlib import Path
from typing import Any
from unittest import mock

from module_host import Interface, Module, Version

import ukey_emulator
from ukey_emulator.cryptoki.wire import FUNCTIONS
from ukey_emulator.recording.file import Call, Recording

_NUMBERS = {function.name: function.number for function in FUNCTIONS.values()}
_HEADER = '{{"ukey": "recording", "version": 1, "level": "{}"}}\n'


class RecordedModule(Module):
    """Calls go through the list of an interface of the recording module, to a file at a level."""

    def __init__(self, folder: Path, level: str, version: tuple[int, int] = (3, 2)) -> None:
        self.file = folder / "recording.jsonl"
        self.level = level
        self.file.write_text(_HEADER.format(level))
        vendors = shutil.copy(ukey_emulator.module_path(), folder)
        recorder = shutil.copy(ukey_emulator.record_module_path(), folder)
        self._library = ctypes.CDLL(str(recorder))
        interface = POINTER(Interface)()
        environment = {
            "UKEY_RECORD_MODULE": str(vendors),
            "UKEY_RECORD_FILE": str(self.file),
            "UKEY_RECORD_LEVEL": level,
        }
        with mock.patch.dict(os.environ, environment):
            rv = self._library.C_GetInterface(
                b"PKCS 11", byref(Version(*version)), byref(interface), c_ulong(0)
            )
        assert rv == 0
        self._functions = ctypes.cast(interface.contents.functions, POINTER(c_void_p))

    def __getattr__(self, name: str) -> Any:
        function = ctypes.CFUNCTYPE(c_ulong)(self._functions[_NUMBERS[name]] or 0)
        # How each call passes its arguments, its own types say.
        return lambda *arguments: int(
            function(*(c_ulong(a) if type(a) is int else a for a in arguments))
        )

    def recording(self) -> list[Call]:
        """Read what has been written, without what is answered in the module."""
        calls = Recording.read(self.file).calls
        return [call for call in calls if not call.function.local]
